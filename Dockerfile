# A collector or a far end in a container, the command chosen when it is run; how: docs/containers.md
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/callreach \
 && pip --python /opt/callreach install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY probe probe
RUN pip --python /opt/callreach install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="callreach" \
      org.opencontainers.image.description="Collector and far end of callreach" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folder is the user's, so that a volume made for it is too.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin callreach \
 && install -d -o callreach -g callreach -m 0750 /var/lib/callreach-collector
COPY --from=build /opt/callreach /opt/callreach
ENV PATH=/opt/callreach/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HEALTH=http://127.0.0.1:8480/healthz
USER callreach
VOLUME /var/lib/callreach-collector
EXPOSE 8480
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(os.environ['HEALTH'], timeout=3)"]
ENTRYPOINT ["probe"]
CMD ["--help"]
