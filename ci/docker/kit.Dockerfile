# karst-interop: the relay and the judge of the matrix.
#   docker build -f ci/docker/kit.Dockerfile -t karst/kit FOLDER
FROM debian:bookworm-slim AS files
COPY karst-interop /program
RUN mkdir -p /out/bin /out/tmp && chmod 1777 /out/tmp && cp /program /out/bin/karst-interop && \
    for library in $(ldd /program | grep -o '/[^ ]*'); do cp --parents -L "$library" /out/; done

FROM scratch
COPY --from=files /out /
USER 65532:65532
ENTRYPOINT ["/bin/karst-interop"]
