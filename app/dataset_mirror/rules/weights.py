"""What a client likes best: fields such as Accept and Accept-Encoding, whose members have weights (RFC 9110 12.4.2)."""


def weights(field: str) -> dict[str, float]:
    """Members in lower case with their weights, 1 unless told; what cannot be read is not wanted. Of two the last one counts."""
    return dict(_weight(part) for part in field.lower().split(",") if part.strip())


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding field allows gzip (RFC 9110 12.5.3); without one nobody is sent it."""
    wanted = weights(accept_encoding)
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0


def _weight(part: str) -> tuple[str, float]:
    kind, *parameters = [piece.strip() for piece in part.split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, float(value)
            except ValueError:
                return kind, 0.0
    return kind, 1.0
