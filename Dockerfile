# One image for both parts: the scheduler runs as 65532, the agent as root with the capabilities BPF and PERFMON only
# (charts/netloom). x86_64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 .
ARG DEBIAN=bookworm
ARG NODE=24

FROM node:${NODE}-${DEBIAN}-slim AS node

FROM debian:${DEBIAN}-slim AS bpf
RUN apt-get update \
 && apt-get install -y --no-install-recommends clang llvm libbpf-dev linux-libc-dev
WORKDIR /src
COPY scripts/build-bpf.sh scripts/
COPY collector/bpf collector/bpf
COPY lib/bpf/probes lib/bpf/probes
RUN scripts/build-bpf.sh

FROM node AS packages
WORKDIR /src
COPY package.json package-lock.json ./
# No package needs its install script. What only editors, compilers and readers of packages use stays behind.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.md' \) -delete \
 && rm -rf node_modules/@types node_modules/koffi/vendor node_modules/koffi/doc

FROM debian:${DEBIAN}-slim
# libstdc++6: of Node. libbpf1 brings libelf1 and zlib1g.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libbpf1 libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /opt/netloom
COPY --from=packages /src/node_modules node_modules
COPY --from=bpf /src/build/bpf build/bpf
COPY LICENSE package.json ./
COPY LICENSES LICENSES
COPY scripts/node scripts/
COPY bin bin
COPY proto proto
COPY lib lib
COPY cli cli
COPY collector collector
COPY scheduler scheduler
COPY lab lab
COPY demo demo
RUN ln -s /opt/netloom/bin/netloom /usr/local/bin/netloom
USER 65532:65532
ENTRYPOINT ["/opt/netloom/bin/netloom"]
CMD ["--help"]
