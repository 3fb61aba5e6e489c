"""A Dockerfile for a deployed wheel."""

from __future__ import annotations

from pathlib import Path

from dwskd_monai.commands.deploy.package import EXTRAS, Package
from dwskd_monai.files import replacing

_FILE = "Dockerfile"
_CONTENT = """\
# {title}
# The command {command} runs as a user without rights, on a file system that may be read-only.
#   docker build --tag {command} .
#   docker run --rm --read-only --tmpfs /tmp --network none --volume STUDIES:/studies:ro --volume OUT:/out \\
#     {command} /studies --out /out
#   docker run --read-only --tmpfs /tmp --publish 11112:11112 --volume FOLDER:/listener \\
#     {command} listen --host 0.0.0.0 --to PACS:104 --folder /listener
# OUT and FOLDER must be writable for user {user}.
FROM python:3.13-slim
COPY {wheel} /tmp/
RUN pip install --no-cache-dir "/tmp/{wheel}[{extras}]" && rm /tmp/{wheel} \\
  && useradd --uid {user} --no-create-home --shell /usr/sbin/nologin classifier
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER {user}
ENTRYPOINT ["{command}"]
CMD ["--help"]
"""
_USER = 10001  # a number: Kubernetes accepts only one as proof that it is not root


def write_dockerfile(package: Package, wheel: Path) -> Path:
    """Write ``Dockerfile`` beside a wheel, and return its path.

    Args:
        package: that the wheel has.
        wheel: its file.
    """
    content = _CONTENT.format(
        title=package.summary, command=package.name, wheel=wheel.name, extras=",".join(EXTRAS), user=_USER
    )
    file = wheel.with_name(_FILE)
    with replacing(file) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return file
