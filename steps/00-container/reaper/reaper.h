// Waits until a child has ended, notes how, and leaves it to be reaped.
int reaper_note(const char *dir, int pid);
