#!/bin/sh
# A TaskProlog for Slurm: every task of a job gets its downloads through the mirror.
#
#   slurm.conf:   TaskProlog=/etc/slurm/dataset-mirror-prolog.sh
#
# slurmd runs it before each task, as its user, and takes up the lines `export NAME=VALUE` that it prints. Where the mirror does
# not answer within two seconds nothing is printed: the job runs as it would without one.
# MIRROR is the mirror as compute nodes reach it; what a user has set already stays (a proxy of their own, say).
set -u
MIRROR="${DATASET_MIRROR_URL:-http://mirror.lab:8080}"

curl -fsS --noproxy '*' --max-time 2 -o /dev/null "$MIRROR/healthz" 2>/dev/null || exit 0

# setup.sh makes the bundle of authorities in a private folder of the user, and sets the variables; they are told to Slurm.
before="$(env | sort)"
eval "$(curl -fsS --noproxy '*' --max-time 10 "$MIRROR/setup.sh")" 2>/dev/null || exit 0
env | sort | while IFS= read -r line; do
  case "$line" in
    [A-Za-z_]*=*) printf '%s\n' "$before" | grep -qxF -- "$line" || printf 'export %s\n' "$line" ;;
  esac
done
exit 0
