#!/usr/bin/env bash
# Builds every fuzz target for OSS-Fuzz and ClusterFuzzLite, with the seeds that are
# kept beside the tests. Their base-builder-go image runs it from the checkout and
# brings compile_native_go_fuzzer_v2; $OUT is where they look.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${OUT:?where to put the programs}"
hack/fuzz --list | while read -r package name; do
  # Packages have targets of equal names.
  program=$(tr / _ <<<"${package#github.com/oidc-injector/oidc-injector/internal/}")_$name
  compile_native_go_fuzzer_v2 "$package" "$name" "$program"
  seeds=${package#github.com/oidc-injector/oidc-injector/}/testdata/fuzz/$name
  [[ ! -d $seeds ]] || (cd "$seeds" && zip --quiet --recurse-paths "$OUT/${program}_seed_corpus.zip" .)
done
