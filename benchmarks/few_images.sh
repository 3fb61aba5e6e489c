#!/usr/bin/env bash
# Does it win where labelled images are few, and every training is long enough to fit them? With test images.
#
#     benchmarks/few_images.sh DATA OUT
#
# As three_sets.sh, whose teachers it takes from OUT (run that first, METHODS=selection will do), but about 700 steps
# for each training, and a third of the images held out: nothing is chosen by them, and each run is measured on them once,
# at its end (for lung CT they are the authors' validation images). Students learn from each other to the end, each from
# its own augmentation. SEEDS, METHODS and JOBS as there.
METHODS=${METHODS:-selection,dws_skd_mutual,dws_skd_ema,mean_teacher,mutual_scratch,selection_kd,teacher}
source "$(dirname "$0")/sets.sh"

hold_out chest_xray brain_mri

COMMON=(--folds 2 --seeds "${SEEDS:-0}" --warmup_epochs 3 --batch_size 8 --views two --distillation_epochs 1.0
  --independent_epochs 0 --distillation_weight 1.0)
compare chest_xray "$OUT/few/chest_xray/train.csv" without_chest.pt 64 "$OUT/few/chest_xray" "${COMMON[@]}" \
  --test_dir "$OUT/few/chest_xray/test.csv" --fractions 0.15 --translate_range "[3,3]" \
  --max_epochs 120 --ramp_up_epochs 15 --val_interval 12
compare brain_mri "$OUT/few/brain_mri/train.csv" without_brain_and_lung.pt 64 "$OUT/few/brain_mri" "${COMMON[@]}" \
  --test_dir "$OUT/few/brain_mri/test.csv" --fractions 0.075 --translate_range "[3,3]" \
  --max_epochs 96 --ramp_up_epochs 12 --val_interval 24
compare lung_ct "$DATA/lung_ct/train" without_brain_and_lung.pt 96 "$OUT/few/lung_ct" "${COMMON[@]}" \
  --test_dir "$DATA/lung_ct/val" --fractions 0.25 --picture_range "[0,255]" --translate_range "[4,4]" \
  --max_epochs 96 --ramp_up_epochs 12 --val_interval 12
python benchmarks/pool_comparisons.py --results "$OUT/few/chest_xray,$OUT/few/lung_ct,$OUT/few/brain_mri" --out "$OUT/few/pooled"
