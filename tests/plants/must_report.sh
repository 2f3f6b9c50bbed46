#!/bin/bash
# SPDX-License-Identifier: MIT
# must_report.sh PROGRAM SENTENCE - passes if the sanitizer ended PROGRAM, saying SENTENCE.
said=$("$1" 2>&1)
code=$?
if [ $code -eq 0 ] || ! grep -q "$2" <<<"$said"; then
    echo "exit code $code, and \"$2\" was not reported:"
    echo "$said"
    exit 1
fi
echo "reported, exit code $code: $2"
