# Sourced by the other scripts: one line of progress for a long step.

# count LABEL TOTAL: counts the lines on standard input. On a terminal the
# count is drawn in place, elsewhere every 200th line is told. Lines that look
# like errors are passed on.
count() {
  awk -v label="$1" -v total="$2" -v tty="$([ -t 1 ] && echo 1 || echo 0)" '
    /^go: downloading/ { fetched++; if (tty) printf "\r%s: %d modules fetched\033[K", label, fetched; else if (fetched % 100 == 0) printf "%s: %d modules fetched\n", label, fetched; fflush(); next }
    /^[a-zA-Z0-9_.\/~-]+$/ { n++; if (tty) printf "\r%s: %d of at most %d packages\033[K", label, n, total; else if (n % 200 == 0) printf "%s: %d of at most %d packages\n", label, n, total; fflush(); next }
    { print; fflush() }
    END { if (tty && n + fetched) printf "\r\033[K" }'
}
