#!/usr/bin/env bash
# `make bench-documents`: business cards, upscaled by this service, read by tesseract and held against the true ones.
#   benches/documents/run.sh [--scales 2,3,4] [--conditions lossless jpeg] [-- flags of `san-upscaler upscale`]
# Installs tesseract and the fonts where it is root, else says what to install. $SERVER names a binary.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/tools.sh

need tesseract-ocr tesseract
tesseract --list-langs | grep -qx eng || need tesseract-ocr-eng eng.traineddata
tesseract --list-langs | grep -qx jpn || need tesseract-ocr-jpn jpn.traineddata
need fontconfig fc-list
fc-list | grep -q DejaVuSans.ttf || need fonts-dejavu-core DejaVuSans.ttf
fc-list | grep -q ipaexg.ttf || need fonts-ipaexfont-gothic ipaexg.ttf
environment documents
release_build
exec "$python" benches/documents/compare.py "${server[@]}" "${runtimes[-1]}" "$@"
