# The service in a small image without compilers, pip's cache or root's rights.
#
#   docker build --tag streamer .
#   docker run --rm streamer --help
#
# Stages: build (wheel and virtual environment) · test (pytest, see docker-compose.yml) · the last one is the service.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Dependencies first: this layer changes with the lock alone, not with every edit.
COPY deploy/requirements.txt deploy/requirements-build.txt deploy/
RUN python3 -m venv /opt/builder \
 && /opt/builder/bin/pip install --quiet --require-hashes --requirement deploy/requirements-build.txt \
 && python3 -m venv /opt/streamer \
 && /opt/streamer/bin/pip install --quiet --require-hashes --only-binary :all: --requirement deploy/requirements.txt
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY streamer streamer
# The wheel itself is ours and has no hash to check; --no-deps, because the lock has brought everything.
RUN /opt/builder/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/streamer/bin/pip install --quiet --no-deps --no-index /dist/*.whl \
 && /opt/streamer/bin/pip uninstall --quiet --yes pip setuptools

FROM ${PYTHON_IMAGE} AS test
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home --home-dir /app streamer && install --directory --owner 10001 /app
WORKDIR /app
COPY deploy/requirements-dev.txt deploy/
RUN python3 -m venv /opt/tests \
 && /opt/tests/bin/pip install --quiet --require-hashes --only-binary :all: --requirement deploy/requirements-dev.txt
COPY --from=build /dist /dist
RUN /opt/tests/bin/pip install --quiet --no-deps --no-index /dist/*.whl
COPY --chown=10001:10001 . .
ENV PATH=/opt/tests/bin:$PATH
USER 10001:10001
ENTRYPOINT ["python", "-m", "pytest"]

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin streamer \
 && install --directory --owner 10001 --group 10001 /var/lib/streamer
COPY --from=build /opt/streamer /opt/streamer
ENV PATH=/opt/streamer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
# Alive, not ready: restarting helps nothing while Kafka or a source is away. urlopen raises on anything but 2xx.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["streamer"]
CMD ["--help"]
