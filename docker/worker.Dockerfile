# The trainer. CPU build by default; TORCH_INDEX=https://pypi.org/simple gives the CUDA build of the same version.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# torch comes first, in a layer of its own, so that a change of the code does not download it again.
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --index-url "$TORCH_INDEX" "$TORCH"

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY worker worker
COPY migrations migrations
RUN pip install '.[worker]' && rm -rf /build

RUN useradd --system --uid 10001 --create-home steadyrank
USER steadyrank
WORKDIR /home/steadyrank
CMD ["celery", "-A", "worker.celery_app", "worker", "--pool", "solo", "-Q", "train", "--concurrency", "1"]
