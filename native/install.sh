#!/bin/sh
# Build the native encoders into the virtual environment that is named, and say which encoder runs.
#
# Without a toolchain, or where the build fails, Python encodes: the same files, only slower. So
# this never fails, and says so in one line.
set -eu
venv=$1
cd "$(dirname "$0")/.."
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
log=$venv/native-build.log

# What an older build left must not go on: it may be of other sources.
leave_to_python() {
    "$venv/bin/python" -m pip uninstall --quiet --disable-pip-version-check --yes sluice-native >/dev/null 2>&1 || true
    echo "sluice: Python encodes: $1"
    exit 0
}

[ "${NATIVE:-yes}" != no ] || leave_to_python "NATIVE=no leaves the encoders in native/ out"
command -v cargo >/dev/null || leave_to_python "there is no cargo, which would build the faster encoders in native/"

# Joined by &&: in a condition `set -e` has no effect.
build() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --only-binary :all: -r requirements-native.lock &&
        # maturin would else install a toolchain by itself where it finds none.
        MATURIN_NO_INSTALL_RUST=1 VIRTUAL_ENV=$venv \
            "$venv/bin/maturin" develop --release --locked --manifest-path native/Cargo.toml &&
        "$venv/bin/python" -c "import sluice_native"
}

# Of conda, whose environment maturin refuses to see beside another one.
unset CONDA_PREFIX

echo "sluice: building the native encoders, which takes about a minute"
if build >"$log" 2>&1; then
    echo "sluice: native encoders are built, and will run"
else
    leave_to_python "the native encoders did not build, see $log; once that is mended: rm $venv/.native-*; make install"
fi
