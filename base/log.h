/* Log lines to standard error: time, level, text. Control path only: the hot path neither logs nor allocates. */
#ifndef POLAR_BASE_LOG_H
#define POLAR_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* Makes one line of it, whatever stands in it: control characters become '?'. Any thread. */
void log_one_line(char *text);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
