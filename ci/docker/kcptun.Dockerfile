# Go kcptun, as Debian packages it.
#   docker build -f ci/docker/kcptun.Dockerfile --build-arg PROGRAM=kcptun-server -t kcptun/server FOLDER
FROM debian:bookworm-slim
ARG PROGRAM
RUN command -v kcptun-server >/dev/null || \
    { apt-get update && apt-get install -y --no-install-recommends kcptun && rm -rf /var/lib/apt/lists/*; }
RUN ln -s "$(command -v ${PROGRAM})" /program
USER 65532:65532
ENTRYPOINT ["/program"]
