/*
 * Exercises a server through the official C client (multi-threaded library).
 *
 *     c-client HOST:PORT
 *
 * Prints `ok NAME` or `not ok NAME: why` for each test; `@kill` asks the caller to kill and
 * start the server, and to say so with a line on standard input.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zookeeper.h>

#define WAIT_SECONDS 20

static const char *hosts;
static const char *failure;
static char failure_text[512];

/* Ends the current test function with a message when the condition does not hold. */
#define CHECK(cond)                                                                            \
    do {                                                                                       \
        if (!(cond)) {                                                                         \
            snprintf(failure_text, sizeof(failure_text), "line %d: %s", __LINE__, #cond);      \
            failure = failure_text;                                                            \
            return;                                                                            \
        }                                                                                      \
    } while (0)

#define CHECK_RC(call, want)                                                                   \
    do {                                                                                       \
        int got_rc = (call);                                                                   \
        if (got_rc != (want)) {                                                                \
            snprintf(failure_text, sizeof(failure_text), "line %d: %s gave %d (%s), not %s",   \
                     __LINE__, #call, got_rc, zerror(got_rc), #want);                          \
            failure = failure_text;                                                            \
            return;                                                                            \
        }                                                                                      \
    } while (0)

/* --- a client with what its watcher saw ------------------------------------------------ */

#define MAX_EVENTS 64

struct event {
    int type;
    char path[256];
};

struct client {
    zhandle_t *zh;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int state;
    int connects;
    int events;
    struct event seen[MAX_EVENTS];
};

static void watcher(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    struct client *c = context;
    (void)zh;
    pthread_mutex_lock(&c->lock);
    if (type == ZOO_SESSION_EVENT) {
        c->state = state;
        if (state == ZOO_CONNECTED_STATE)
            c->connects++;
    } else if (c->events < MAX_EVENTS) {
        c->seen[c->events].type = type;
        snprintf(c->seen[c->events].path, sizeof(c->seen[0].path), "%s", path ? path : "");
        c->events++;
    }
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Waits until *number is at least `least`; 0 at the time limit. */
static int wait_for(struct client *c, int *number, int least)
{
    struct timespec end;
    int ok;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&c->lock);
    while (*number < least && pthread_cond_timedwait(&c->changed, &c->lock, &end) == 0)
        ;
    ok = *number >= least;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static int saw(struct client *c, int index, int type, const char *path)
{
    return wait_for(c, &c->events, index + 1) && c->seen[index].type == type &&
           strcmp(c->seen[index].path, path) == 0;
}

static struct client *open_client(const clientid_t *id)
{
    struct client *c = calloc(1, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->zh = zookeeper_init(hosts, watcher, 10000, id, c, 0);
    if (!c->zh || !wait_for(c, &c->connects, 1)) {
        printf("not ok connect: no connection to %s\n", hosts);
        exit(1);
    }
    return c;
}

static int close_client(struct client *c)
{
    return zookeeper_close(c->zh);
}

static int create(struct client *c, const char *path, const char *data, int flags)
{
    return zoo_create(c->zh, path, data, (int)strlen(data), &ZOO_OPEN_ACL_UNSAFE, flags, NULL, 0);
}

/* --- tests ----------------------------------------------------------------------------- */

static struct client *main_client;

static void test_session(void)
{
    const clientid_t *id = zoo_client_id(main_client->zh);
    CHECK(id->client_id != 0);
    CHECK(zoo_recv_timeout(main_client->zh) == 10000);
    CHECK(is_unrecoverable(main_client->zh) == ZOK);
}

static void test_create_get_set_delete(void)
{
    struct client *c = main_client;
    struct Stat stat;
    char buffer[64];
    int length = sizeof(buffer);

    CHECK_RC(create(c, "/c-basic", "one", 0), ZOK);
    CHECK_RC(create(c, "/c-basic", "two", 0), ZNODEEXISTS);
    CHECK_RC(zoo_get(c->zh, "/c-basic", 0, buffer, &length, &stat), ZOK);
    CHECK(length == 3 && memcmp(buffer, "one", 3) == 0);
    CHECK(stat.version == 0 && stat.dataLength == 3 && stat.czxid == stat.mzxid);
    CHECK_RC(zoo_set(c->zh, "/c-basic", "three", 5, 1), ZBADVERSION);
    CHECK_RC(zoo_set2(c->zh, "/c-basic", "three", 5, 0, &stat), ZOK);
    CHECK(stat.version == 1 && stat.mzxid > stat.czxid);
    CHECK_RC(create(c, "/c-basic/child", "", 0), ZOK);
    CHECK_RC(zoo_exists(c->zh, "/c-basic", 0, &stat), ZOK);
    CHECK(stat.numChildren == 1 && stat.cversion == 1 && stat.pzxid > stat.mzxid);
    CHECK_RC(zoo_delete(c->zh, "/c-basic", -1), ZNOTEMPTY);
    CHECK_RC(zoo_delete(c->zh, "/c-basic/child", 3), ZBADVERSION);
    CHECK_RC(zoo_delete(c->zh, "/c-basic/child", 0), ZOK);
    CHECK_RC(zoo_delete(c->zh, "/c-basic", -1), ZOK);
    CHECK_RC(zoo_exists(c->zh, "/c-basic", 0, &stat), ZNONODE);
    CHECK_RC(create(c, "/c-missing/child", "", 0), ZNONODE);
    CHECK_RC(create(c, "/c-bad/", "", 0), ZBADARGUMENTS);
}

static void test_null_and_empty_data(void)
{
    struct client *c = main_client;
    char buffer[8];
    int length = sizeof(buffer);
    struct Stat stat;

    CHECK_RC(zoo_create(c->zh, "/c-null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
    CHECK_RC(zoo_get(c->zh, "/c-null", 0, buffer, &length, &stat), ZOK);
    CHECK(length == -1 && stat.dataLength == 0);
    length = sizeof(buffer);
    CHECK_RC(create(c, "/c-empty", "", 0), ZOK);
    CHECK_RC(zoo_get(c->zh, "/c-empty", 0, buffer, &length, &stat), ZOK);
    CHECK(length == 0 && stat.dataLength == 0);
}

static void test_large_data(void)
{
    enum { SIZE = 900 * 1024 };
    struct client *c = main_client;
    char *data = malloc(SIZE), *back = malloc(SIZE);
    int length = SIZE;
    struct Stat stat;

    memset(data, 'x', SIZE);
    CHECK_RC(zoo_create(c->zh, "/c-large", data, SIZE, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
    CHECK_RC(zoo_get(c->zh, "/c-large", 0, back, &length, &stat), ZOK);
    CHECK(length == SIZE && memcmp(data, back, SIZE) == 0);
    free(data);
    free(back);
}

static void test_create2_returns_stat(void)
{
    struct client *c = main_client;
    char path[64];
    struct Stat stat;

    CHECK_RC(zoo_create2(c->zh, "/c-create2", "abc", 3, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, path,
                         sizeof(path), &stat), ZOK);
    CHECK(strcmp(path, "/c-create2") == 0);
    CHECK(stat.dataLength == 3 && stat.czxid > 0);
    CHECK(stat.ephemeralOwner == zoo_client_id(c->zh)->client_id);
    CHECK_RC(create(c, "/c-create2/child", "", 0), ZNOCHILDRENFOREPHEMERALS);
}

static void test_sequence(void)
{
    struct client *c = main_client;
    char path[64], want[64];
    int i;

    CHECK_RC(create(c, "/c-sequence", "", 0), ZOK);
    for (i = 0; i < 5; i++) {
        CHECK_RC(zoo_create(c->zh, "/c-sequence/n-", "", 0, &ZOO_OPEN_ACL_UNSAFE,
                            ZOO_SEQUENCE | (i % 2 ? ZOO_EPHEMERAL : 0), path, sizeof(path)), ZOK);
        snprintf(want, sizeof(want), "/c-sequence/n-%010d", i);
        CHECK(strcmp(path, want) == 0);
    }
    CHECK_RC(zoo_delete(c->zh, path, -1), ZOK);
    CHECK_RC(zoo_create(c->zh, "/c-sequence/m-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path,
                        sizeof(path)), ZOK);
    /* the number counts the creates below the parent, not the deletes */
    CHECK(strcmp(path, "/c-sequence/m-0000000005") == 0);
}

static void test_children(void)
{
    struct client *c = main_client;
    struct String_vector names;
    struct Stat stat;
    char path[64];
    int i;

    CHECK_RC(create(c, "/c-children", "", 0), ZOK);
    for (i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "/c-children/%02d", i);
        CHECK_RC(create(c, path, "", 0), ZOK);
    }
    CHECK_RC(zoo_get_children2(c->zh, "/c-children", 0, &names, &stat), ZOK);
    CHECK(names.count == 20 && stat.numChildren == 20 && stat.cversion == 20);
    deallocate_String_vector(&names);
    CHECK_RC(zoo_get_children(c->zh, "/c-none", 0, &names), ZNONODE);
}

static void test_container(void)
{
    struct client *c = main_client;
    char path[64];
    struct Stat stat;

    CHECK_RC(zoo_create2(c->zh, "/c-container", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path,
                         sizeof(path), &stat), ZOK);
    CHECK(stat.ephemeralOwner == 0);
    CHECK_RC(create(c, "/c-container/child", "", 0), ZOK);
}

static void test_watches(void)
{
    struct client *c = open_client(NULL);
    struct Stat stat;
    struct String_vector names;
    char buffer[8];
    int length = sizeof(buffer);

    CHECK_RC(zoo_exists(c->zh, "/c-watch", 1, &stat), ZNONODE);
    CHECK_RC(create(main_client, "/c-watch", "1", 0), ZOK);
    CHECK(saw(c, 0, ZOO_CREATED_EVENT, "/c-watch"));

    CHECK_RC(zoo_get(c->zh, "/c-watch", 1, buffer, &length, &stat), ZOK);
    CHECK_RC(zoo_set(main_client->zh, "/c-watch", "2", 1, -1), ZOK);
    CHECK(saw(c, 1, ZOO_CHANGED_EVENT, "/c-watch"));
    /* it fires once */
    CHECK_RC(zoo_set(main_client->zh, "/c-watch", "3", 1, -1), ZOK);

    CHECK_RC(zoo_get_children(c->zh, "/c-watch", 1, &names), ZOK);
    CHECK_RC(create(main_client, "/c-watch/child", "", 0), ZOK);
    CHECK(saw(c, 2, ZOO_CHILD_EVENT, "/c-watch"));
    CHECK_RC(zoo_delete(main_client->zh, "/c-watch/child", -1), ZOK);

    CHECK_RC(zoo_exists(c->zh, "/c-watch", 1, &stat), ZOK);
    CHECK_RC(zoo_delete(main_client->zh, "/c-watch", -1), ZOK);
    CHECK(saw(c, 3, ZOO_DELETED_EVENT, "/c-watch"));
    CHECK(c->events == 4);
    CHECK_RC(close_client(c), ZOK);
}

static void test_remove_watches(void)
{
    struct client *c = open_client(NULL);
    struct client own = {0};
    struct Stat stat;

    pthread_mutex_init(&own.lock, NULL);
    pthread_cond_init(&own.changed, NULL);
    CHECK_RC(create(main_client, "/c-remove", "", 0), ZOK);
    CHECK_RC(zoo_wexists(c->zh, "/c-remove", watcher, &own, &stat), ZOK);
    CHECK_RC(zoo_remove_watches(c->zh, "/c-remove", ZWATCHTYPE_DATA, watcher, &own, 0), ZOK);
    CHECK_RC(zoo_remove_watches(c->zh, "/c-remove", ZWATCHTYPE_DATA, watcher, &own, 0),
             ZNOWATCHER);
    CHECK_RC(zoo_set(main_client->zh, "/c-remove", "x", 1, -1), ZOK);
    CHECK_RC(zoo_exists(c->zh, "/c-remove", 0, &stat), ZOK);
    CHECK(own.events == 0);
    CHECK_RC(close_client(c), ZOK);
}

static void test_ephemeral_ends_with_session(void)
{
    struct client *c = open_client(NULL);
    struct Stat stat;

    CHECK_RC(create(c, "/c-ephemeral", "", ZOO_EPHEMERAL), ZOK);
    CHECK_RC(zoo_exists(main_client->zh, "/c-ephemeral", 0, &stat), ZOK);
    CHECK(stat.ephemeralOwner == zoo_client_id(c->zh)->client_id);
    CHECK_RC(close_client(c), ZOK);
    CHECK_RC(zoo_exists(main_client->zh, "/c-ephemeral", 0, &stat), ZNONODE);
}

static void test_multi(void)
{
    struct client *c = main_client;
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    char path[64];
    struct Stat stat;

    zoo_create_op_init(&ops[0], "/c-multi", "a", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof(path));
    zoo_set_op_init(&ops[1], "/c-multi", "b", 1, 0, &stat);
    zoo_check_op_init(&ops[2], "/c-multi", 1);
    zoo_create_op_init(&ops[3], "/c-multi/child", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    CHECK_RC(zoo_multi(c->zh, 4, ops, results), ZOK);
    CHECK(strcmp(path, "/c-multi") == 0 && stat.version == 1);
    CHECK(results[0].err == ZOK && results[3].err == ZOK);

    /* the third fails: nothing of it happens */
    zoo_delete_op_init(&ops[0], "/c-multi/child", -1);
    zoo_set_op_init(&ops[1], "/c-multi", "c", 1, -1, &stat);
    zoo_check_op_init(&ops[2], "/c-multi", 9);
    zoo_delete_op_init(&ops[3], "/c-multi", -1);
    CHECK_RC(zoo_multi(c->zh, 4, ops, results), ZBADVERSION);
    CHECK(results[0].err == ZOK && results[1].err == ZOK);
    CHECK(results[2].err == ZBADVERSION && results[3].err == ZRUNTIMEINCONSISTENCY);
    CHECK_RC(zoo_exists(c->zh, "/c-multi/child", 0, &stat), ZOK);
    CHECK_RC(zoo_exists(c->zh, "/c-multi", 0, &stat), ZOK);
    CHECK(stat.version == 1);
}

struct auth_wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int rc;
    int done;
};

static void auth_done(int rc, const void *data)
{
    struct auth_wait *w = (struct auth_wait *)data;
    pthread_mutex_lock(&w->lock);
    w->rc = rc;
    w->done = 1;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static int add_auth(struct client *c, const char *cert)
{
    struct auth_wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    int rc = zoo_add_auth(c->zh, "digest", cert, (int)strlen(cert), auth_done, &w);
    if (rc != ZOK)
        return rc;
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.rc;
}

static void test_acl(void)
{
    struct client *owner = open_client(NULL), *other = open_client(NULL);
    struct ACL_vector acl;
    struct Stat stat;
    char buffer[16];
    int length = sizeof(buffer);

    CHECK_RC(zoo_create(other->zh, "/c-acl-none", "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0),
             ZINVALIDACL);
    CHECK_RC(add_auth(owner, "alice:secret"), ZOK);
    CHECK_RC(zoo_create(owner->zh, "/c-acl", "mine", 4, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
    CHECK_RC(zoo_get(other->zh, "/c-acl", 0, buffer, &length, &stat), ZNOAUTH);
    CHECK_RC(zoo_set(other->zh, "/c-acl", "x", 1, -1), ZNOAUTH);
    CHECK_RC(create(other, "/c-acl/child", "", 0), ZNOAUTH);
    CHECK_RC(zoo_exists(other->zh, "/c-acl", 0, &stat), ZNOAUTH);
    CHECK_RC(zoo_get_acl(owner->zh, "/c-acl", &acl, &stat), ZOK);
    CHECK(acl.count == 1 && acl.data[0].perms == ZOO_PERM_ALL);
    CHECK(strcmp(acl.data[0].id.scheme, "digest") == 0);
    CHECK(strncmp(acl.data[0].id.id, "alice:", 6) == 0);
    deallocate_ACL_vector(&acl);
    CHECK_RC(add_auth(other, "alice:secret"), ZOK);
    length = sizeof(buffer);
    CHECK_RC(zoo_get(other->zh, "/c-acl", 0, buffer, &length, &stat), ZOK);
    CHECK(length == 4);
    CHECK_RC(zoo_set_acl(owner->zh, "/c-acl", 7, &ZOO_READ_ACL_UNSAFE), ZBADVERSION);
    CHECK_RC(zoo_set_acl(owner->zh, "/c-acl", 0, &ZOO_READ_ACL_UNSAFE), ZOK);
    CHECK_RC(zoo_exists(owner->zh, "/c-acl", 0, &stat), ZOK);
    CHECK(stat.aversion == 1);
    CHECK_RC(zoo_set(owner->zh, "/c-acl", "x", 1, -1), ZNOAUTH);
    CHECK_RC(close_client(owner), ZOK);
    CHECK_RC(close_client(other), ZOK);
}

static struct client counters;

static void set_done(int rc, const struct Stat *stat, const void *data)
{
    long index = (long)data;
    pthread_mutex_lock(&counters.lock);
    /* replies come in the order of the requests: each one raises the version by one */
    if (rc != ZOK || stat->version != index + 1)
        counters.state++;
    counters.connects++;
    pthread_cond_broadcast(&counters.changed);
    pthread_mutex_unlock(&counters.lock);
}

static void test_pipelined_sets(void)
{
    enum { COUNT = 2000 };
    struct client *c = main_client;
    struct Stat stat;
    long i;

    pthread_mutex_init(&counters.lock, NULL);
    pthread_cond_init(&counters.changed, NULL);
    CHECK_RC(create(c, "/c-pipeline", "", 0), ZOK);
    for (i = 0; i < COUNT; i++)
        CHECK_RC(zoo_aset(c->zh, "/c-pipeline", "data", 4, -1, set_done, (void *)i), ZOK);
    CHECK(wait_for(&counters, &counters.connects, COUNT));
    CHECK(counters.state == 0);
    CHECK_RC(zoo_exists(c->zh, "/c-pipeline", 0, &stat), ZOK);
    CHECK(stat.version == COUNT);
}

/* Another process opens a session, makes an ephemeral node, and dies without closing it. */
static int leave_session(const char *path)
{
    struct client *c = open_client(NULL);
    const clientid_t *id = zoo_client_id(c->zh);
    int rc = create(c, path, "", ZOO_EPHEMERAL);
    size_t i;

    printf("%d %lld ", rc, (long long)id->client_id);
    for (i = 0; i < sizeof(id->passwd); i++)
        printf("%02x", (unsigned char)id->passwd[i]);
    printf("\n");
    fflush(stdout);
    _exit(0);
}

static void test_reattach_session(void)
{
    char command[512], password[64];
    clientid_t id;
    long long number;
    unsigned byte;
    int rc = -1;
    size_t i;
    FILE *other;
    struct client *again;
    struct Stat stat;

    snprintf(command, sizeof(command), "/proc/%d/exe %s --leave-session /c-attach", (int)getpid(),
             hosts);
    other = popen(command, "r");
    CHECK(other != NULL);
    CHECK(fscanf(other, "%d %lld %63s", &rc, &number, password) == 3);
    pclose(other);
    CHECK_RC(rc, ZOK);
    id.client_id = number;
    for (i = 0; i < sizeof(id.passwd); i++) {
        CHECK(sscanf(password + 2 * i, "%2x", &byte) == 1);
        id.passwd[i] = (char)byte;
    }
    again = open_client(&id);
    CHECK(zoo_client_id(again->zh)->client_id == number);
    CHECK_RC(zoo_exists(again->zh, "/c-attach", 0, &stat), ZOK);
    CHECK(stat.ephemeralOwner == number);
    CHECK_RC(close_client(again), ZOK);
    CHECK_RC(zoo_exists(main_client->zh, "/c-attach", 0, &stat), ZNONODE);
}

static void test_survives_a_killed_server(void)
{
    struct client *c = open_client(NULL);
    int connects = c->connects, before = 0;
    int64_t id = zoo_client_id(c->zh)->client_id;
    struct Stat stat;
    char line[64], buffer[16];
    int length = sizeof(buffer);

    CHECK_RC(create(c, "/c-kill", "kept", 0), ZOK);
    CHECK_RC(create(c, "/c-kill-ephemeral", "", ZOO_EPHEMERAL), ZOK);
    CHECK_RC(zoo_get(c->zh, "/c-kill", 1, buffer, &length, &stat), ZOK);
    printf("@kill\n");
    CHECK(fgets(line, sizeof(line), stdin) != NULL);
    CHECK(wait_for(c, &c->connects, connects + 1));
    CHECK(wait_for(main_client, &main_client->connects, 2));
    CHECK(zoo_client_id(c->zh)->client_id == id);
    CHECK_RC(zoo_exists(c->zh, "/c-kill-ephemeral", 0, &stat), ZOK);
    CHECK(stat.ephemeralOwner == id);
    /* the client set its watch again */
    before = c->events;
    CHECK_RC(zoo_set(main_client->zh, "/c-kill", "new", 3, 0), ZOK);
    CHECK(saw(c, before, ZOO_CHANGED_EVENT, "/c-kill"));
    CHECK_RC(close_client(c), ZOK);
}

/* --- driver ---------------------------------------------------------------------------- */

static int failures;

static void run(const char *name, void (*test)(void))
{
    failure = NULL;
    test();
    if (failure) {
        printf("not ok %s: %s\n", name, failure);
        failures++;
    } else {
        printf("ok %s\n", name);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[2], "--leave-session") == 0) {
        hosts = argv[1];
        zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
        return leave_session(argv[3]);
    }
    if (argc != 2) {
        fprintf(stderr, "usage: c-client HOST:PORT\n");
        return 64;
    }
    hosts = argv[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    main_client = open_client(NULL);
    run("session", test_session);
    run("create_get_set_delete", test_create_get_set_delete);
    run("null_and_empty_data", test_null_and_empty_data);
    run("large_data", test_large_data);
    run("create2_returns_stat", test_create2_returns_stat);
    run("sequence", test_sequence);
    run("children", test_children);
    run("container", test_container);
    run("watches", test_watches);
    run("remove_watches", test_remove_watches);
    run("ephemeral_ends_with_session", test_ephemeral_ends_with_session);
    run("multi", test_multi);
    run("acl", test_acl);
    run("pipelined_sets", test_pipelined_sets);
    run("reattach_session", test_reattach_session);
    run("survives_a_killed_server", test_survives_a_killed_server);
    if (close_client(main_client) != ZOK)
        failures++;
    return failures != 0;
}
