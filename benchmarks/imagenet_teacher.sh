#!/usr/bin/env bash
# Does it win with a strong teacher? EfficientNet-Lite2 with ImageNet weights, and students of a fifth of its parameters.
#
#     benchmarks/imagenet_teacher.sh DATA OUT
#
# DATA has chest_xray, brain_mri and lung_ct. A third of the images is held out: nothing is chosen by them, and each run is
# measured on them once, at its end (for lung CT they are the authors' validation images). It goes on where it was stopped;
# SEEDS, METHODS and JOBS choose others than seed 0, these methods and two runs at a time.
METHODS=${METHODS:-scratch,selection,two_starts,dws_skd_mutual,dws_skd_ema,mean_teacher,mutual_scratch,selection_kd,teacher}
NETWORKS=(--teacher tf_efficientnet_lite2 --student tf_efficientnet_lite0_050 --intensity_mean 0.5 --intensity_std 0.5
  --network_def#_target_ narrow_efficientnet.create_model)
source "$(dirname "$0")/sets.sh"
export PYTHONPATH=benchmarks${PYTHONPATH:+:$PYTHONPATH}
test -f "$OUT/imagenet.safetensors" || python benchmarks/imagenet_weights.py --out "$OUT/imagenet.safetensors"
hold_out chest_xray brain_mri

COMMON=(--folds 2 --seeds "${SEEDS:-0}" --methods_file benchmarks/two_starts.yaml --learning_rate 0.002 --batch_size 16
  --max_epochs 40 --warmup_epochs 2 --ramp_up_epochs 5 --val_interval 10 --train#random_transforms#1#translate_range "[4,4]")
compare brain_mri "$OUT/few/brain_mri/train.csv" imagenet.safetensors 96 "$OUT/imagenet/brain_mri" "${COMMON[@]}" \
  --test_dir "$OUT/few/brain_mri/test.csv" --fractions 0.1
compare chest_xray "$OUT/few/chest_xray/train.csv" imagenet.safetensors 96 "$OUT/imagenet/chest_xray" "${COMMON[@]}" \
  --test_dir "$OUT/few/chest_xray/test.csv" --fractions 0.25
compare lung_ct "$DATA/lung_ct/train" imagenet.safetensors 96 "$OUT/imagenet/lung_ct" "${COMMON[@]}" \
  --test_dir "$DATA/lung_ct/val" --fractions 0.25 --picture_range "[0,255]" --max_epochs 60
python benchmarks/pool_comparisons.py --results "$OUT/imagenet/chest_xray,$OUT/imagenet/lung_ct,$OUT/imagenet/brain_mri" \
  --out "$OUT/imagenet/pooled"
