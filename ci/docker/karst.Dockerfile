# karst-client or karst-server and nothing else: an image from scratch, run by a user without rights.
#   docker build -f ci/docker/karst.Dockerfile --build-arg PROGRAM=karst-server -t karst/server FOLDER
# FOLDER has the program, as ci/release.sh builds it. It is linked to libraries of glibc, which are copied with it.
FROM debian:bookworm-slim AS files
ARG PROGRAM
RUN command -v busybox >/dev/null || \
    { apt-get update && apt-get install -y --no-install-recommends busybox-static; }
COPY ${PROGRAM} /program
RUN mkdir -p /out/bin /out/tmp /out/etc && chmod 1777 /out/tmp && \
    cp /program /out/bin/karst && \
    # The health check needs one program that speaks HTTP.
    cp "$(command -v busybox)" /out/bin/busybox && \
    echo 'karst:x:65532:65532::/:' >/out/etc/passwd && \
    for library in $(ldd /program | grep -o '/[^ ]*'); do cp --parents -L "$library" /out/; done

FROM scratch
COPY --from=files /out /
USER 65532:65532
# /status has the sessions as JSON; it answers as long as the program works.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 \
    CMD ["/bin/busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9100/status"]
ENTRYPOINT ["/bin/karst", "--metrics", "127.0.0.1:9100"]
