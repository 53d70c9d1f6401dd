# One image for both halves: `api` and `worker` are its commands.
FROM python:3.12-slim

# Point pip at another index or pass options here, for example to get PyTorch's smaller CPU build.
ARG PIP_OPTIONS=""

RUN useradd --create-home --uid 10001 xclip && mkdir /data && chown xclip /data
WORKDIR /opt/xclip-search
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY index index
COPY xclip xclip
RUN pip install --no-cache-dir --constraint constraints.txt ${PIP_OPTIONS} .

USER xclip
WORKDIR /home/xclip
ENV XCLIP_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["xclip-search"]
CMD ["serve"]
