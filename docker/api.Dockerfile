# The API, the reaper and the migrations: the base dependencies only, no torch.
FROM python:3.12-slim

ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY worker worker
COPY migrations migrations
RUN pip install . && rm -rf /build

RUN useradd --system --uid 10001 --create-home steadyrank
USER steadyrank
WORKDIR /home/steadyrank
EXPOSE 8000
CMD ["uvicorn", "--factory", "app.main:create_app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "5"]
