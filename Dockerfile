# The demo in a container: docker build -t quake_tvm . && docker run --rm quake_tvm
# It downloads the model that it compiles when it runs. Tried without a container: the same commands in a new root of
# Debian bookworm (debootstrap) with its Python 3.11 in a virtual environment.
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /quake_tvm
COPY . .
RUN pip install --no-cache-dir --constraint requirements-lock.txt '.[demo]'
ENTRYPOINT ["python", "tutorials/sentence_encoder.py"]
