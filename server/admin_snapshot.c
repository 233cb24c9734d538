/* The admin service's view of snapshots. */
#include "server/admin_impl.h"
#include "server/snapshots.h"

void admin_save(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)words, (void)count;
    switch (snapshots_ask(admin->server->snapshots, NULL)) {
    case SNAPSHOTS_STARTED: fprintf(out, "begun; see snapshot\n"); return;
    case SNAPSHOTS_RUNNING: fprintf(out, "error: one is being written\n"); return;
    default: fprintf(out, "error: there is no option snapshot-file\n"); return;
    }
}

void admin_snapshot(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)words, (void)count;
    if (!admin->server->snapshots) return;
    const struct snapshots_metrics *m = snapshots_metrics(admin->server->snapshots);
    for (size_t i = 0; i < snapshots_metric_row_count; i++) {
        const struct metric_row *row = &snapshots_metric_rows[i];
        const void *at = (const char *)m + row->offset;
        fprintf(out, "%-28s %16llu  %s\n", row->name, (unsigned long long)metric_get(at), row->help);
    }
}
