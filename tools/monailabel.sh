#!/usr/bin/env bash
# Serve a packed bundle in MONAI Label's stock monaibundle app, on 127.0.0.1.
#
#     tools/monailabel.sh BUNDLE.zip STUDIES FOLDER [PORT]
#
# STUDIES has images: PNG, JPEG, DICOM and NIfTI files; labels that are submitted are kept in its folder labels. The app and
# the bundle, whose network is retrained there, are put into FOLDER the first time. Needs an environment with monailabel
# and dwskd_monai first on PATH; `make monailabel` makes one.
set -euo pipefail
FILE=$1 STUDIES=$(realpath "$2") FOLDER=$(realpath -m "$3") PORT=${4:-8000}
mkdir -p "$FOLDER"
test -d "$FOLDER/monaibundle" || monailabel apps --name monaibundle --download --output "$FOLDER"
MODELS=$FOLDER/monaibundle/model
BUNDLE=$(basename "$FILE" .zip | sed 's/_v[0-9.]*$//')
test -d "$MODELS/$BUNDLE" || python -m dwskd_monai unpack "$FILE" --out "$MODELS"
# without .dcm and .jpeg, which the default leaves out, such files are not seen; *.json would make labels images
SUFFIXES=$(python -c "import json; from dwskd_monai.reading.formats import SUFFIXES; print(json.dumps(['*' + s for s in SUFFIXES]))")
export MONAI_LABEL_DATASTORE_FILE_EXT=$SUFFIXES
exec monailabel start_server --app "$FOLDER/monaibundle" --studies "$STUDIES" --host 127.0.0.1 --port "$PORT" \
  --conf models "$BUNDLE" --conf sam2 false --conf zoo_source ngc
