#include "base/stream.h"

void stream_unlist(struct stream *s)
{
    if (!s->listed) return;
    struct stream_loop *loop = s->loop;
    struct stream *before = NULL;
    for (struct stream *it = loop->head; it; before = it, it = it->next_ready) {
        if (it != s) continue;
        if (before) before->next_ready = s->next_ready;
        else loop->head = s->next_ready;
        if (loop->tail == s) loop->tail = before;
        break;
    }
    s->listed = false;
    s->next_ready = NULL;
}
