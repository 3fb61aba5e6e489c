#!/usr/bin/env bash
# Does it win with a strong teacher? EfficientNet-Lite2 with ImageNet weights, and students of a fifth of its parameters.
#
#     benchmarks/imagenet_teacher.sh DATA OUT [few|all|long]
#
# DATA has chest_xray, brain_mri and lung_ct; with few (the default) 53 to 85 of their images are trained on, with all and
# long, which trains for three times as many epochs, 212 to 849. A third of the images is held out: nothing is chosen by
# them, and each run is measured on them once, at its end (for lung CT they are the authors' validation images). It goes on
# where it was stopped; SEEDS, METHODS and JOBS choose others than seed 0, these methods and two runs at a time; METHODS may
# name those of variants.yaml too. BASELINE, one of them, takes the place of selection, LEARNING_RATE that of 0.002, with
# results in a folder of their own.
case ${3:-few} in
few)
  RESULTS=imagenet
  BRAIN_MRI=(--fractions 0.1 --max_epochs 40) CHEST_XRAY=(--fractions 0.25 --max_epochs 40)
  LUNG_CT=(--fractions 0.25 --max_epochs 60)
  COMMON=(--ramp_up_epochs 5 --val_interval 10)
  ;;
all)
  RESULTS=imagenet_all
  BRAIN_MRI=(--max_epochs 15 --val_interval 3) CHEST_XRAY=(--max_epochs 30 --val_interval 5)
  LUNG_CT=(--max_epochs 40 --val_interval 5)
  COMMON=(--fractions 1.0 --ramp_up_epochs 2)
  ;;
long)
  RESULTS=imagenet_long
  BRAIN_MRI=(--max_epochs 45 --val_interval 5) CHEST_XRAY=(--max_epochs 90 --val_interval 5)
  LUNG_CT=(--max_epochs 120 --val_interval 10)
  COMMON=(--fractions 1.0 --ramp_up_epochs 2 --memory_format "\$torch.channels_last")
  ;;
*)
  echo "the third argument must be few, all or long, not $3" >&2
  exit 2
  ;;
esac
METHODS=${METHODS:-scratch,selection,two_starts,dws_skd_mutual,dws_skd_ema,mean_teacher,mutual_scratch,selection_kd,teacher}
NETWORKS=(--teacher tf_efficientnet_lite2 --student tf_efficientnet_lite0_050 --intensity_mean 0.5 --intensity_std 0.5
  --network_def#_target_ narrow_efficientnet.create_model)
source "$(dirname "$0")/sets.sh"
RESULTS=$OUT/$RESULTS${LEARNING_RATE:+_lr$LEARNING_RATE}
export PYTHONPATH=benchmarks${PYTHONPATH:+:$PYTHONPATH}
test -f "$OUT/imagenet.safetensors" || python benchmarks/imagenet_weights.py --out "$OUT/imagenet.safetensors"
hold_out chest_xray brain_mri

COMMON+=(--folds 2 --seeds "${SEEDS:-0}" --methods_file benchmarks/variants.yaml --baseline "${BASELINE:-selection}"
  --learning_rate "${LEARNING_RATE:-0.002}" --batch_size 16 --warmup_epochs 2
  --translate_range "[4,4]")
compare brain_mri "$OUT/few/brain_mri/train.csv" imagenet.safetensors 96 "$RESULTS/brain_mri" "${COMMON[@]}" \
  --test_dir "$OUT/few/brain_mri/test.csv" "${BRAIN_MRI[@]}"
compare chest_xray "$OUT/few/chest_xray/train.csv" imagenet.safetensors 96 "$RESULTS/chest_xray" "${COMMON[@]}" \
  --test_dir "$OUT/few/chest_xray/test.csv" "${CHEST_XRAY[@]}"
compare lung_ct "$DATA/lung_ct/train" imagenet.safetensors 96 "$RESULTS/lung_ct" "${COMMON[@]}" \
  --test_dir "$DATA/lung_ct/val" --picture_range "[0,255]" "${LUNG_CT[@]}"
python benchmarks/pool_comparisons.py --results "$RESULTS/chest_xray,$RESULTS/lung_ct,$RESULTS/brain_mri" \
  --out "$RESULTS/pooled"
