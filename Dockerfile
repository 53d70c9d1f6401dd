# One image for both halves: `api` and `worker` are its commands.
FROM python:3.12-slim

# Point pip at another index or pass options here, for example to get PyTorch's smaller CPU build.
ARG PIP_OPTIONS=""

# The folders that volumes are mounted on belong to the user, and so do the volumes.
RUN useradd --create-home --uid 10001 xclip \
    && install --directory --owner=xclip --group=xclip /data /home/xclip/.cache/huggingface
WORKDIR /opt/xclip-search
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY index index
COPY xclip xclip
COPY xclip_search xclip_search
# hadolint ignore=SC2086  the options are several words
RUN pip install --no-cache-dir --constraint constraints.txt ${PIP_OPTIONS} ".[otel,postgresql]"

USER 10001
WORKDIR /home/xclip
ENV XCLIP_DATA_DIR=/data PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["xclip-search"]
CMD ["serve"]
