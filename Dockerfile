# An image with Duet's programs and the small model of the quickstart, original and compressed:
#
#   docker build -t duet .
#   docker run --rm -it duet
FROM swift:6.3.1-bookworm AS build
WORKDIR /duet
COPY . .
RUN Scripts/quickstart </dev/null && Scripts/install /opt/duet

FROM debian:bookworm-slim
# The fast one of Debian's builds of OpenBLAS; that is all that the programs need.
RUN apt-get update && apt-get install -y --no-install-recommends libopenblas0-pthread \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/duet /usr/local
COPY --from=build /duet/models /models
CMD ["chat", "-m", "/models/stories-duet"]
