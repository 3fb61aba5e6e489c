#!/usr/bin/env bash
# Does it win? All methods on three sets of images, from nothing: two teachers, three comparisons, one pooled table.
#
#     benchmarks/three_sets.sh DATA OUT
#
# DATA has chest_xray, lung_ct, brain_mri and ct_pool. Teachers are pretrained without any image of the set that they are
# used on (for lung CT with unlabelled slices of other collections). It goes on where it was stopped; JOBS runs at a time,
# METHODS, SEEDS and LUNG_SEEDS choose others than all methods, seed 0 of two folds, and seeds 0, 1, 2.
source "$(dirname "$0")/sets.sh"

teacher() { # name, epochs, labelled folders
  test -f "$OUT/$1.done" && return
  python benchmarks/pretrain_teacher.py --out "$OUT/$1.pt" --model convnext_nano --epochs "$2" --labelled "$3" \
    --unlabelled "['$DATA/ct_pool']"
  touch "$OUT/$1.done"
}
teacher without_chest 10 "['$DATA/brain_mri/train','$DATA/lung_ct/train']" &
teacher without_brain_and_lung 14 "['$DATA/chest_xray/train']" &
wait

COMMON=(--fractions 1.0,0.25,0.1,0.05 --warmup_epochs 1 --independent_epochs 0 --distillation_weight 1.0)
# Half of the images validate where no validation images are named: with few of them, differences of two points drown.
compare brain_mri "$DATA/brain_mri" without_brain_and_lung.pt 64 "$OUT/brain_mri" "${COMMON[@]}" --folds 2 --seeds "${SEEDS:-0}" \
  --translate_range "[3,3]" \
  --batch_size 32 --max_epochs 4 --distillation_epochs 2 --ramp_up_epochs 1 --val_interval 2 \
  --batch_size@0.25 16 --max_epochs@0.25 12 --distillation_epochs@0.25 8 --ramp_up_epochs@0.25 2 --val_interval@0.25 4 \
  --batch_size@0.1 16 --max_epochs@0.1 20 --distillation_epochs@0.1 15 --ramp_up_epochs@0.1 4 --val_interval@0.1 5 \
  --batch_size@0.05 8 --max_epochs@0.05 30 --distillation_epochs@0.05 24 --ramp_up_epochs@0.05 6 --val_interval@0.05 6
compare chest_xray "$DATA/chest_xray" without_chest.pt 64 "$OUT/chest_xray" "${COMMON[@]}" --folds 2 --seeds "${SEEDS:-0}" \
  --translate_range "[3,3]" \
  --batch_size 32 --max_epochs 12 --distillation_epochs 9 --ramp_up_epochs 2 --val_interval 3 \
  --batch_size@0.25 16 --max_epochs@0.25 30 --distillation_epochs@0.25 24 --ramp_up_epochs@0.25 5 --val_interval@0.25 6 \
  --batch_size@0.1 8 --max_epochs@0.1 40 --distillation_epochs@0.1 32 --ramp_up_epochs@0.1 6 --val_interval@0.1 8 \
  --batch_size@0.05 8 --max_epochs@0.05 60 --distillation_epochs@0.05 48 --ramp_up_epochs@0.05 10 --val_interval@0.05 12
compare lung_ct "$DATA/lung_ct" without_brain_and_lung.pt 96 "$OUT/lung_ct" "${COMMON[@]}" --seeds "${LUNG_SEEDS:-0,1,2}" --picture_range "[0,255]" \
  --translate_range "[4,4]" \
  --batch_size 16 --max_epochs 8 --distillation_epochs 6 --ramp_up_epochs 2 --val_interval 2 \
  --batch_size@0.25 16 --max_epochs@0.25 16 --distillation_epochs@0.25 12 --ramp_up_epochs@0.25 3 --val_interval@0.25 4 \
  --batch_size@0.1 8 --max_epochs@0.1 20 --distillation_epochs@0.1 16 --ramp_up_epochs@0.1 4 --val_interval@0.1 4 \
  --batch_size@0.05 4 --max_epochs@0.05 24 --distillation_epochs@0.05 20 --ramp_up_epochs@0.05 4 --val_interval@0.05 4
python benchmarks/pool_comparisons.py --results "$OUT/chest_xray,$OUT/lung_ct,$OUT/brain_mri" --out "$OUT/pooled"
