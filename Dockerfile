# The wheel in an environment of its own; the command runs as a normal user.
#
#     docker build -t cellucid-dask .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" cellucid-dask export atlas.h5ad
#     docker run --rm -v "$PWD:/data:ro" -p 127.0.0.1:8765:8765 cellucid-dask serve exports --host 0.0.0.0 --token auto
ARG PYTHON=3.13-slim-trixie

FROM docker.io/library/python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY cellucid_dask cellucid_dask
COPY slurm slurm
# The image has no compiler: the build installs one from PyPI for the native library, and removes it.
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/cellucid-dask \
    && /opt/cellucid-dask/bin/python -m pip install --no-cache-dir "$(echo /wheels/*.whl)[hdf5-filters,preview]"

FROM docker.io/library/python:${PYTHON}
COPY --from=build /opt/cellucid-dask /opt/cellucid-dask
# Whoever runs it has a home that can be written, for caches: --user may name anyone.
RUN useradd --uid 1000 --no-create-home --home-dir /home/cellucid cellucid \
    && mkdir --mode 1777 /home/cellucid /data
ENV HOME=/home/cellucid PATH=/opt/cellucid-dask/bin:$PATH
USER 1000
WORKDIR /data
EXPOSE 8765
ENTRYPOINT ["cellucid-dask"]
CMD ["--help"]
