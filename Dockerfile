# hitcounter-serve in a container: an ordinary user, port 4573, the database in the volume /var/lib/hitcounter.
#
#     docker build --tag hitcounter .
#     docker run --detach --name hitcounter --publish 4573:4573 --volume hitcounter:/var/lib/hitcounter \
#         --env HITCOUNTER_ALLOW=192.0.2.0/24 --stop-timeout 75 hitcounter
#
# HITCOUNTER_ALLOW names the networks of the Asterisks that may call: without it, the server refuses to start.
FROM debian:trixie-slim AS build

# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends python3 python3-venv && \
    rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# The versions of the packages are the tested ones.
RUN sed -n '/^\[commands-versions\]/,/^$/s/ = /==/p' buildout.cfg >/constraints.txt && \
    python3 -m venv /opt/hitcounter && \
    /opt/hitcounter/bin/pip install --no-cache-dir --constraint /constraints.txt '.[postgresql]'


FROM debian:trixie-slim

# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends python3 && \
    rm -rf /var/lib/apt/lists/* && \
    groupadd --gid 4573 hitcounter && \
    useradd --uid 4573 --gid 4573 --no-log-init --home-dir /var/lib/hitcounter --no-create-home hitcounter && \
    install --directory --mode=700 --owner=4573 --group=4573 /var/lib/hitcounter

COPY --from=build /opt/hitcounter /opt/hitcounter

ENV PATH=/opt/hitcounter/bin:$PATH \
    HITCOUNTER_LISTEN=0.0.0.0:4573 \
    HITCOUNTER_STORAGE=file:///var/lib/hitcounter/hitcounter.fs
USER 4573:4573
WORKDIR /var/lib/hitcounter
VOLUME /var/lib/hitcounter
EXPOSE 4573

# The server is process 1, without a shell around it, so SIGTERM reaches it: it lets calls end and closes the database.
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s --timeout=10s \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 4573), 5).close()"]
ENTRYPOINT ["hitcounter-serve"]
