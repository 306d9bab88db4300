# The image of `authserver serve`. It holds no configuration and no key: mount a directory with authserver.toml and the
# rules at /etc/authserver. docs/how-to/deploy-with-containers.md says what else to mount, and deploy/ has manifests.
#
# What runs in it needs no root, no capability, no shell, and no writable root: /tmp, in memory, is enough, and
# /var/lib/authserver where the store is SQLite.

FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/authserver \
    && pip --python /opt/authserver install --no-cache-dir --require-hashes -r requirements.lock \
    && pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY authserver authserver
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/authserver install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.13-slim-bookworm
RUN groupadd --system --gid 10001 authserver \
    && useradd --system --uid 10001 --gid authserver --no-create-home --shell /usr/sbin/nologin authserver \
    && install --directory --owner authserver --group authserver --mode 0700 /var/lib/authserver
COPY --from=build /opt/authserver /opt/authserver
ENV PATH=/opt/authserver/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AUTHSERVER_CONFIG=/etc/authserver/authserver.toml
WORKDIR /var/lib/authserver
VOLUME /var/lib/authserver
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8400 8401
# Our own command, so no shell and no other program. An issuer with a path adds `--url http://127.0.0.1:8400/path`.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["authserver", "health"]
# Inside a container the address to listen on is the container's own.
ENTRYPOINT ["authserver", "serve"]
CMD ["--bind", "0.0.0.0:8400"]
