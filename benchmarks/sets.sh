# What three_sets.sh, few_images.sh and imagenet_teacher.sh share; they source it with DATA and OUT as $1 and $2. JOBS runs
# at a time, METHODS chooses among the methods. NETWORKS, where a script sets it, are other networks than these.
set -euo pipefail
DATA=$(realpath "$1")
OUT=$(realpath -m "$2")
JOBS=${JOBS:-2}
METHODS=${METHODS:-all}
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$OUT"
if [ -z "${NETWORKS+set}" ]; then
  NETWORKS=(--teacher convnext_nano --student convnext_atto --intensity_mean 0 --intensity_std 1)
fi

compare() { # bundle, images, file of the teacher's weights, pixels, folder of the results, and what is special
  local bundle=$1 images=$2 teacher=$3 pixels=$4 results=$5
  shift 5
  python -m dwskd_monai compare --bundle "bundles/${bundle}_classification" --dataset_dir "$images" --out "$results" \
    --methods "$METHODS" --jobs "$JOBS" "${NETWORKS[@]}" --teacher_weights "$OUT/$teacher" --image_size "$pixels" \
    --momentum 0.9 --num_workers 0 "$@"
}

hold_out() { # a third of the images of each set that is named, for tests by which nothing is chosen
  for set in "$@"; do
    python benchmarks/hold_out.py --labelled "$DATA/$set/train" --out "$OUT/few/$set"
  done
}
