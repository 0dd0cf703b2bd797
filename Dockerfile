# The mirror as an image: docker build -t dataset-mirror . && docker run -p 8080:8080 -v mirror:/data --read-only dataset-mirror

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY app app
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/mirror && pip --python /opt/mirror/bin/python install --no-cache-dir '.[shared]'
COPY docker/healthcheck.py /opt/mirror/healthcheck.py

FROM python:3.13-slim
LABEL org.opencontainers.image.title="dataset-mirror" \
      org.opencontainers.image.description="A local mirror of machine-learning dataset archives: fetched once, verified, kept." \
      org.opencontainers.image.licenses="Apache-2.0"
# The number is fixed, so that a folder of the host can be given to it: chown 10001:10001 FOLDER. It installs nothing any more: no pip.
RUN groupadd --gid 10001 mirror \
 && useradd --uid 10001 --gid mirror --no-log-init --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mirror \
 && install --directory --owner mirror --group mirror /data \
 && python -m pip uninstall --yes --root-user-action ignore pip
COPY --from=build /opt/mirror /opt/mirror
# Python's files are compiled already; nothing but /data is ever written.
ENV PATH=/opt/mirror/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATASET_MIRROR_DATA=/data \
    DATASET_MIRROR_HOST=0.0.0.0
USER 10001:10001
WORKDIR /
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "/opt/mirror/healthcheck.py"]
ENTRYPOINT ["dataset-mirror"]
CMD ["serve"]
