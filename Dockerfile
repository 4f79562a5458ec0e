# GRA in a container; the wheel of torch brings CUDA along, so one image serves a CPU and NVIDIA GPUs.
#
#   docker build -t gra .
#   docker run --rm -v "$PWD":/work gra run experiment=quickstart
#   docker run --rm --gpus all --network host -v "$PWD":/work gra train data=data/mine student.model=Qwen/Qwen2.5-0.5B sft=lora output=models/mine
#
# Results lie in the folder that is mounted at /work. Apptainer (Slurm clusters): apptainer.def.
FROM python:3.11-slim-bookworm

# g++: DeepSpeed compiles its kernels; git: provenance of a mounted clone; bubblewrap: isolates model-written code of HumanEval, MBPP
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap g++ git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/gra
COPY . .
RUN pip install --no-cache-dir -c constraints.txt '.[deepspeed,minilm,cpu]'

# any user may run it (docker run --user): caches go to a place that all may write
ENV HOME=/tmp HF_HOME=/work/.cache/huggingface PYTHONUNBUFFERED=1
WORKDIR /work
ENTRYPOINT ["gra"]
CMD ["--help"]
