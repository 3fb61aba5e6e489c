#!/usr/bin/env bash
# Does it win where labelled images are few, and every training is long enough to fit them? With test images.
#
#     benchmarks/few_images.sh DATA OUT
#
# As three_sets.sh, whose teachers it takes from OUT (run that first, METHODS=selection will do), but about 700 steps
# for each training, and a third of the images held out: nothing is chosen by them, and each run is measured on them once,
# at its end (for lung CT they are the authors' validation images). Students learn from each other to the end, each from
# its own augmentation. SEEDS, METHODS and JOBS as there.
set -euo pipefail
DATA=$(realpath "$1")
OUT=$(realpath -m "$2")
JOBS=${JOBS:-2}
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
METHODS=${METHODS:-selection,dws_skd_mutual,dws_skd_ema,mean_teacher,mutual_scratch,selection_kd,teacher}

for set in chest_xray brain_mri; do
  python benchmarks/hold_out.py --labelled "$DATA/$set/train" --out "$OUT/few/$set"
done

compare() { # set, bundle, teacher, pixels, training and test images, and what is special
  local set=$1 bundle=$2 teacher=$3 pixels=$4 training=$5 test=$6
  shift 6
  python -m dwskd_monai compare --bundle "bundles/${bundle}_classification" --dataset_dir "$training" --test_dir "$test" \
    --out "$OUT/few/$set" --methods "$METHODS" --jobs "$JOBS" --folds 2 --seeds "${SEEDS:-0}" \
    --teacher_weights "$OUT/$teacher.pt" --teacher convnext_nano --student convnext_atto --image_size "$pixels" \
    --intensity_mean 0 --intensity_std 1 --momentum 0.9 --num_workers 0 --warmup_epochs 3 --batch_size 8 \
    --views two --distillation_epochs 1.0 "$@"
}
compare chest_xray chest_xray without_chest 64 "$OUT/few/chest_xray/train.csv" "$OUT/few/chest_xray/test.csv" \
  --fractions 0.15 --train#random_transforms#1#translate_range "[3,3]" \
  --max_epochs 120 --ramp_up_epochs 15 --val_interval 12
compare brain_mri brain_mri without_brain_and_lung 64 "$OUT/few/brain_mri/train.csv" "$OUT/few/brain_mri/test.csv" \
  --fractions 0.075 --train#random_transforms#1#translate_range "[3,3]" \
  --max_epochs 96 --ramp_up_epochs 12 --val_interval 24
compare lung_ct lung_ct without_brain_and_lung 96 "$DATA/lung_ct/train" "$DATA/lung_ct/val" \
  --fractions 0.25 --picture_range "[0,255]" --train#random_transforms#1#translate_range "[4,4]" \
  --max_epochs 96 --ramp_up_epochs 12 --val_interval 12
python benchmarks/pool_comparisons.py --results "$OUT/few/chest_xray,$OUT/few/lung_ct,$OUT/few/brain_mri" --out "$OUT/few/pooled"
