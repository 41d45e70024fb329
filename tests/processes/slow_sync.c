/* Makes the fsyncs of a process slow: preload it (LD_PRELOAD), and name a file in SLOW_SYNC_FILE.
 * An fsync takes at least the number of milliseconds in this file. The file is read again while an
 * fsync waits, so that a test can end one that seems to hang. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long wanted_ms(void) {
  char text[32];
  const char *path = getenv("SLOW_SYNC_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  long length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  return atol(text);
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void delay(void) {
  long begun = now_ms();
  for (;;) {
    long left = wanted_ms() - (now_ms() - begun);
    if (left <= 0) return;
    if (left > 20) left = 20;
    struct timespec pause = {0, left * 1000000};
    nanosleep(&pause, 0);
  }
}

int fdatasync(int file) {
  delay();
  return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
  delay();
  return (int)syscall(SYS_fsync, file);
}
