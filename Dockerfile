# The service as an image: `docker build -t san-upscaler:0.1.0-cpu .` (BuildKit or buildah; buildah wants
# `--format docker`, or it drops the HEALTHCHECK). deploy/test/image.sh builds it, starts it and sends an image through.
# For NVIDIA cards: `docker build --target cuda -t san-upscaler:0.1.0-cuda .`
#
# The last stage is built from nothing: the binary, ONNX Runtime, the few shared libraries that both link, the models,
# and the licenses. No shell, no package manager, nothing to patch but what is listed in sbom.cdx.json.

# ORT_DISABLE_TELEMETRY, in both: ONNX Runtime from 1.29 on reports to its maker over HTTPS, and keeps an identifier of the
# machine, unless that is set before it is loaded; what can be switched off later comes after the first report.

# To pin to the byte, give a digest: --build-arg RUST=rust@sha256:...
ARG RUST=rust:1.95.0-slim-bookworm
ARG PYTHON=python:3.11-slim-bookworm
ARG DEBIAN=debian:bookworm-slim
# Has what CUDA's provider is linked against: CUDA 13 and cuDNN 9.
ARG CUDA=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04

# The binary. First the dependencies alone, with empty sources around them: this layer changes with Cargo.lock only.
FROM ${RUST} AS build
WORKDIR /build
# jemalloc is built by make; this image has a compiler alone.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock ./
COPY crates/images/Cargo.toml crates/images/
COPY crates/tiling/Cargo.toml crates/tiling/
COPY crates/inference/Cargo.toml crates/inference/
COPY crates/scheduler/Cargo.toml crates/scheduler/
RUN mkdir src crates/images/src crates/tiling/src crates/inference/src crates/scheduler/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs crates/images/src/lib.rs crates/tiling/src/lib.rs crates/inference/src/lib.rs crates/scheduler/src/lib.rs \
    && sed -i '/^\[\[bench\]\]/,/^$/d' Cargo.toml crates/*/Cargo.toml \
    && cargo build --release --locked --bin san-upscaler
COPY runtime runtime
COPY openapi.yaml ./
COPY crates crates
COPY src src
# The empty sources are newer than the real sources; without this cargo would keep them.
RUN touch src/*.rs crates/*/src/lib.rs \
    && cargo build --release --locked --bin san-upscaler
# What is linked, and the license texts that go with it.
RUN cargo tree --locked --edges normal,no-proc-macro --target x86_64-unknown-linux-gnu --prefix none \
        --format '{p}|{l}|{r}' > crates.txt \
    && sed -n 's/^\([^ ]*\) v\([^ |]*\).*/\1-\2/p' crates.txt | sort -u | while read -r crate; do \
        for text in "${CARGO_HOME}"/registry/src/*/"${crate}"/LICEN[CS]E* "${CARGO_HOME}"/registry/src/*/"${crate}"/COPYING* \
                "${CARGO_HOME}"/registry/src/*/"${crate}"/jemalloc/COPYING; do \
            if [ -f "${text}" ]; then mkdir -p "licenses/${crate}" && cp "${text}" "licenses/${crate}/"; fi; \
        done; \
    done

# ONNX Runtime, by version and hash: on x86-64 the build with OpenVINO, whose CPU provider serves where OpenVINO does not.
# The machine that builds the image need not be the one that runs it, so fetch.sh is not left to look at this one.
FROM ${PYTHON} AS runtime
WORKDIR /build
COPY runtime runtime
RUN case $(uname -m) in x86_64) build=openvino ;; *) build=cpu ;; esac \
    && runtime/fetch.sh "${build}" && mv .runtime/onnxruntime* /onnxruntime

FROM ${PYTHON} AS runtime-cuda
WORKDIR /build
COPY runtime runtime
RUN runtime/fetch.sh cuda && mv .runtime/onnxruntime* /onnxruntime

# The root of the image, put together where there is a shell.
FROM ${DEBIAN} AS root
COPY --from=build /build/target/release/san-upscaler /root-fs/usr/bin/
COPY --from=runtime /onnxruntime/*.so* /root-fs/usr/lib/
COPY --from=runtime /onnxruntime/LICENSE /onnxruntime/ThirdPartyNotices.txt /root-fs/usr/share/doc/san-upscaler/onnxruntime/
COPY --from=build /build/licenses /root-fs/usr/share/doc/san-upscaler/crates
COPY LICENSE THIRD_PARTY.md /root-fs/usr/share/doc/san-upscaler/
COPY models /root-fs/usr/share/san-upscaler/models
RUN set -e; \
    libraries=$(ldd /root-fs/usr/bin/san-upscaler /root-fs/usr/lib/*.so* | grep -v 'root-fs' | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u); \
    for library in ${libraries}; do mkdir -p "/root-fs$(dirname "${library}")"; cp -L "${library}" "/root-fs${library}"; done; \
    for library in ${libraries}; do dpkg-query --search "*$(basename "${library}")" | cut -d: -f1; done | sort -u > /packages; \
    for package in $(cat /packages); do \
        mkdir -p "/root-fs/usr/share/doc/${package}"; \
        cp -L "/usr/share/doc/${package}/copyright" "/root-fs/usr/share/doc/${package}/"; \
    done; \
    dpkg-query --show --showformat '${Package} ${Version}\n' $(cat /packages) > /packages.txt; \
    mkdir -p /root-fs/etc; \
    echo 'upscaler:x:65532:65532:san-upscaler:/:/sbin/nologin' > /root-fs/etc/passwd; \
    echo 'upscaler:x:65532:' > /root-fs/etc/group

FROM runtime AS inventory
COPY Cargo.toml Cargo.lock ./
COPY deploy/supply deploy/supply
COPY models models
COPY --from=build /build/crates.txt ./
COPY --from=root /packages.txt ./
RUN python3 deploy/supply/inventory.py --crates crates.txt sbom /sbom.cdx.json --packages packages.txt

# Without what NVIDIA's image has by itself, which its own package manager lists.
FROM runtime-cuda AS inventory-cuda
COPY Cargo.toml Cargo.lock ./
COPY deploy/supply deploy/supply
COPY models models
COPY --from=build /build/crates.txt ./
RUN python3 deploy/supply/inventory.py --crates crates.txt sbom /sbom.cdx.json --cuda

# The same on NVIDIA's image, which has a shell and a package manager: CUDA and cuDNN are too many libraries to pick from.
# Built and run by nobody yet who had a card; see deploy/README.md.
FROM ${CUDA} AS cuda
COPY --from=build /build/target/release/san-upscaler /usr/bin/
COPY --from=runtime-cuda /onnxruntime/*.so /usr/lib/
COPY --from=runtime-cuda /onnxruntime/LICENSE /onnxruntime/ThirdPartyNotices.txt /usr/share/doc/san-upscaler/onnxruntime/
COPY --from=build /build/licenses /usr/share/doc/san-upscaler/crates
COPY --from=inventory-cuda /sbom.cdx.json /usr/share/doc/san-upscaler/
COPY LICENSE THIRD_PARTY.md /usr/share/doc/san-upscaler/
COPY models /usr/share/san-upscaler/models
LABEL org.opencontainers.image.title="san-upscaler" \
      org.opencontainers.image.description="Upscales images over HTTP with SAN on ONNX Runtime (CUDA)" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV ORT_DISABLE_TELEMETRY=1 \
    UPSCALER_LISTEN=0.0.0.0:8080 \
    UPSCALER_MODELS=/usr/share/san-upscaler/models \
    UPSCALER_PROVIDER=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=120s --retries=3 CMD ["/usr/bin/san-upscaler", "health"]
ENTRYPOINT ["/usr/bin/san-upscaler"]
CMD ["serve"]

FROM scratch AS cpu
COPY --from=root /root-fs /
COPY --from=inventory /sbom.cdx.json /usr/share/doc/san-upscaler/sbom.cdx.json
LABEL org.opencontainers.image.title="san-upscaler" \
      org.opencontainers.image.description="Upscales images over HTTP with SAN on ONNX Runtime (CPU)" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV ORT_DISABLE_TELEMETRY=1 \
    UPSCALER_LISTEN=0.0.0.0:8080 \
    UPSCALER_MODELS=/usr/share/san-upscaler/models
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=120s --retries=3 CMD ["/usr/bin/san-upscaler", "health"]
ENTRYPOINT ["/usr/bin/san-upscaler"]
CMD ["serve"]
