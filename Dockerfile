# brood, and nothing else:
#
#   docker build -t brood .
#   COPY --from=brood /brood /brood        in the Dockerfile of a service
#
# The example service under brood:
#
#   docker build --target example -t brood-example .
#
# With TLS and passwords for the listener of metrics (--web-config-file):
#
#   docker build --build-arg TAGS=webconfig -t brood .
#
# It builds for the platform of --platform. Builders without BuildKit do not
# know the platform variables, and build for the machine that they run on.

FROM --platform=${BUILDPLATFORM:-linux} golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-buildvcs=false
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETARCH
ARG VERSION=
ARG REVISION=
ARG TAGS=
RUN package=github.com/brood-init/brood/entrypoint; \
    GOARCH=${TARGETARCH:-$(go env GOARCH)} go build -trimpath -tags "nethttpomithttp2 $TAGS" \
      -ldflags "-s -w ${VERSION:+-X $package.version=$VERSION} ${REVISION:+-X $package.commit=$REVISION}" \
      -o /out/brood ./cmd/brood

FROM build AS build-example
ARG TARGETARCH
RUN GOARCH=${TARGETARCH:-$(go env GOARCH)} go build -trimpath -ldflags '-s -w' -o /out/web ./examples/web

FROM scratch AS example
COPY --from=build /out/brood /brood
COPY --from=build-example /out/web /web
USER 65532:65532
ENV PORT=8080
EXPOSE 8080 9180
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/brood", "health"]
ENTRYPOINT ["/brood", "--"]
CMD ["/web"]

FROM scratch AS brood
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="brood" \
      org.opencontainers.image.description="PID 1 of a container that runs N copies of one service" \
      org.opencontainers.image.url="https://github.com/brood-init/brood" \
      org.opencontainers.image.source="https://github.com/brood-init/brood" \
      org.opencontainers.image.documentation="https://github.com/brood-init/brood/blob/main/docs/docker.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/brood /brood
USER 65532:65532
EXPOSE 9180
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/brood", "health"]
ENTRYPOINT ["/brood", "--"]
