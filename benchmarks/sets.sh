# What three_sets.sh and few_images.sh share; they source it with DATA and OUT as $1 and $2. JOBS runs at a time, METHODS
# chooses among the methods.
set -euo pipefail
DATA=$(realpath "$1")
OUT=$(realpath -m "$2")
JOBS=${JOBS:-2}
METHODS=${METHODS:-all}
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$OUT"

compare() { # bundle, images, teacher, pixels, folder of the results, and what is special
  local bundle=$1 images=$2 teacher=$3 pixels=$4 results=$5
  shift 5
  python -m dwskd_monai compare --bundle "bundles/${bundle}_classification" --dataset_dir "$images" --out "$results" \
    --methods "$METHODS" --jobs "$JOBS" --teacher_weights "$OUT/$teacher.pt" --teacher convnext_nano \
    --student convnext_atto --image_size "$pixels" --intensity_mean 0 --intensity_std 1 --momentum 0.9 --num_workers 0 "$@"
}
