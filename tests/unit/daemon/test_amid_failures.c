/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What parses and reads, amid failures: each of its allocations and system calls fails, one after
 * the other. Then it says so or does without, and has left nothing open or allocated.
 *
 * The program executes itself once more, with what has its calls fail around it (tests/failing):
 * its arguments are FAILING_CALLS and the modules to be preloaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/config/config_file.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/ranges.h"
#include "kernel/base/uapi.h"
#include "kernel/host/cgroup.h"
#include "kernel/host/meminfo.h"
#include "kernel/host/pressure.h"
#include "kernel/kvm/mapping.h"
#include "kernel/store/ledger.h"
#include "protocol/field.h"
#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/packet.h"
#include "tests/failing/failure.h"
#include "tests/lib/unit.h"

#define RECORD 64
#define AREA   0x510000000000ull /* where nothing else is mapped */

/* What json-c 0.16 leaves where it has no memory, at most. */
#define LIBRARY_LEAKS 1

static struct failure *failure;

/* Pieces of work. 0, or a negative errno; what is no failure of a call or an allocation is 0. */

static struct cgroup own = {.directory = -1};

static int find_own_cgroup(void)
{
	struct cgroup cgroup;
	int r = cgroup_own(&cgroup);

	if (r == 0)
		cgroup_release(&cgroup);
	return r;
}

static int find_cgroup_of_process(void)
{
	static int pidfd = -1;
	struct cgroup cgroup;
	int r;

	if (pidfd < 0)
		pidfd = pidfd_open(getpid(), 0);
	r = cgroup_of_process(getpid(), pidfd, &cgroup);
	if (r == 0)
		cgroup_release(&cgroup);
	return r;
}

static int duplicate_cgroup(void)
{
	struct cgroup cgroup;
	int r = cgroup_duplicate(&own, &cgroup);

	if (r == 0)
		cgroup_release(&cgroup);
	return r;
}

static int read_room(void)
{
	struct cgroup_room room;

	return cgroup_room(&own, &room);
}

static int read_kills(void)
{
	uint64_t count;

	return cgroup_oom_kills(&own, &count);
}

static int enter_cgroup(void)
{
	int entrance, r = cgroup_open_entrance(&own, &entrance);

	if (r < 0)
		return r;
	r = cgroup_enter(entrance);
	fd_close(entrance);
	return r;
}

static int mapped_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("mapped", MFD_CLOEXEC);
	return ftruncate(fd, 4096) < 0 ? -1 : fd;
}

static int map_and_verify(void)
{
	static int fd = -1;
	struct mapping_expected expected = {.address = AREA, .length = 4096};
	const char *reason;
	int r;

	if (fd < 0)
		fd = mapped_file();
	r = mapping_make(fd, expected.address, expected.length);
	if (r == 0)
		r = mapping_verify(getpid(), &expected, &reason);
	munmap((void *)(uintptr_t)expected.address, expected.length);
	return r == -EPERM ? 0 : r;
}

/* Each mapping stays, elsewhere. */
static int map_permanently(void)
{
	static uint64_t address = AREA + (1 << 20);
	static int fd = -1;

	if (fd < 0)
		fd = mapped_file();
	address += 8192;
	return mapping_make_permanent(fd, address, 4096);
}

static int read_meminfo(void)
{
	struct meminfo info;
	int fd, r = meminfo_open(&fd);

	if (r < 0)
		return r;
	r = meminfo_read(fd, &info);
	fd_close(fd);
	return r;
}

static int read_node(void)
{
	struct meminfo info;
	int fd, r = meminfo_open_node(0, &fd);

	if (r < 0)
		return r;
	r = meminfo_read_node(fd, &info);
	fd_close(fd);
	return r;
}

static int read_nodes(void)
{
	struct ranges nodes = {0};
	int r;

	r = meminfo_nodes(&nodes);
	ranges_clear(&nodes);
	return r;
}

static int watch_pressure(void)
{
	const struct pressure_threshold threshold = {PRESSURE_SOME, 100000, PRESSURE_WINDOW_UNIT};
	struct pressure_trigger trigger;
	int r = pressure_trigger_open(PRESSURE_OF_HOST, &threshold, &trigger);

	if (r < 0)
		return r;
	r = pressure_trigger_check(&trigger);
	pressure_trigger_close(&trigger);
	return r;
}

/* More records than one allocation of the ledger's has room for. */
static int fill_ledger(struct ledger *ledger)
{
	char record[RECORD] = "record";
	uint32_t index;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 80; i++) {
		r = ledger_free_index(ledger, &index);
		if (r == 0)
			r = ledger_put(ledger, index, record, sizeof record);
		if (r == 0 && i % 3 == 0)
			r = ledger_delete(ledger, index);
		if (i % 7 == 0)
			ledger_abort(ledger);
		else
			ledger_commit(ledger);
	}
	return r;
}

static int keep_ledger(void)
{
	struct ledger *ledger, *again;
	int fd, r = ledger_new("test", RECORD, 128, &ledger);

	if (r < 0)
		return r;
	r = fill_ledger(ledger);
	fd = r == 0 ? fcntl(ledger_fd(ledger), F_DUPFD_CLOEXEC, 0) : -1;
	if (r == 0 && fd < 0)
		r = -errno;
	ledger_free(ledger);
	if (r < 0)
		return r;
	r = ledger_open(fd, &again);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	r = fill_ledger(again);
	ledger_free(again);
	return r;
}

/* As many as json-c has no room for at first. */
#define TEN(x)  x "," x "," x "," x "," x "," x "," x "," x "," x "," x
#define MANY    40
#define MEMBERS "\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9"

static const char text[] = "{\"many\":[" TEN("1") "," TEN("-2") "," TEN("3.5") "," TEN(
	"null") "],"
		"\"B\":{\"C\":\"s\\u0007\",\"D\":true}," MEMBERS "}";

static int parse(void)
{
	const char *why = "";
	struct json_object *value = json_parse(text, strlen(text), &why);

	json_unref(value);
	return value || why != json_no_memory ? (value ? 0 : -EBADMSG) : -ENOMEM;
}

static int print(struct json_object *take_value)
{
	size_t length;
	const char *printed = take_value ? json_print(take_value, &length) : NULL;
	bool pretty = printed && json_print_pretty(take_value);

	json_unref(take_value);
	return pretty ? 0 : -ENOMEM;
}

static int print_printable(void)
{
	const char *why = "";
	struct json_object *value = json_parse(text, strlen(text), &why);

	return value ? print(json_make_printable(value)) : -ENOMEM;
}

static int build(void)
{
	static const struct json_part parts[] = {{"[1,", 3}, {"2]", 2}};
	struct json_object *object = json_new_object(), *array;

	json_add_string(object, "string", "s");
	json_add_string(object, "null", NULL);
	json_add_uint(object, "uint", 1);
	json_add_int(object, "int", -1);
	json_add_bool(object, "bool", true);
	json_add_null(object, "none");
	json_add(object, "text", json_new_text(parts, 2));
	json_add(object, "number", json_new_uint(7));
	json_add_uint(json_add_object(object, "object"), "inner", 1);
	array = json_add_array(object, "array");
	json_append(array, json_new_uint(8));
	json_append_string(array, "element");
	json_add_null(json_append_object(array), "inner");
	for (unsigned i = 0; i < MANY; i++) {
		char name[8];

		snprintf(name, sizeof name, "m%u", i);
		json_add_uint(object, name, i);
		json_append(array, json_new_uint(i));
	}
	return print(object);
}

static int make_message(struct json_object *id, unsigned which)
{
	struct rpc_error error = {0};

	int r;

	switch (which) {
	case 0:
		return print(message_result(id, json_new_uint(1)));
	case 1:
		rpc_error_internal(&error, "why");
		r = print(message_error(id, &error));
		rpc_error_clear(&error);
		return r;
	case 2:
		return print(message_request(1, "method", json_new_object()));
	default:
		return print(message_notification("event", json_new_object()));
	}
}

static int make_messages(void)
{
	const char *why = "";
	struct json_object *ids[] = {json_new_uint(1), json_parse("\"some\"", 6, &why), NULL};
	int r = ids[0] && ids[1] ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < 12; i++)
		r = make_message(ids[i % 3], i / 3);
	json_unref(ids[0]);
	json_unref(ids[1]);
	return r;
}

static int read_message(void)
{
	static const char packet[] = "{\"jsonrpc\":\"2.0\",\"id\":\"some\",\"method\":\"m\","
				     "\"params\":{}}";
	const char *why = "";
	struct json_object *value = json_parse(packet, strlen(packet), &why);
	struct request_message message;
	struct rpc_error error = {0};
	int code = value ? request_message_read(value, &message, &error) : -1;

	rpc_error_clear(&error);
	json_unref(value);
	return code == 0 ? 0 : -ENOMEM;
}

struct item {
	uint64_t number;
	int fd;
};

struct parameters {
	struct field_array items;
	uint64_t flags;
};

static const char *const flag_names[] = {"one", "two", NULL};

static const struct field item_fields[] = {
	{"number", FIELD_INTEGER, .max = 9, .offset = offsetof(struct item, number)},
	{"fd", FIELD_FD, FIELD_OPTIONAL, .offset = offsetof(struct item, fd)},
	{.name = NULL},
};

static const struct field fields[] = {
	{"items", FIELD_ARRAY, .min = 1, .max = 4, .fields = item_fields,
		.item_size = sizeof(struct item), .offset = offsetof(struct parameters, items)},
	{"flags", FIELD_FLAGS, FIELD_OPTIONAL, .names = flag_names,
		.offset = offsetof(struct parameters, flags)},
	{.name = NULL},
};

static int decode(void)
{
	static const char params[] =
		"{\"items\":[{\"number\":1,\"fd\":3},{\"number\":2}],\"flags\":[\"two\"]}";
	const char *why = "";
	struct json_object *value = json_parse(params, strlen(params), &why);
	struct parameters parameters;
	struct rpc_error error = {0};
	int code = value ? fields_decode(fields, value, &parameters, &error) : -1;

	if (code == 0)
		fields_release(fields, &parameters);
	rpc_error_clear(&error);
	json_unref(value);
	return code == 0 ? 0 : -ENOMEM;
}

static int describe_fields(void)
{
	return print(fields_schema(fields, SCHEMA_FULL));
}

static int pass(int from, int to)
{
	static struct packet packet;
	static char room[PACKET_BYTES_MAX + 1];
	struct mmsghdr mark;
	int r = packet_send(from, MSG_DONTWAIT, "{}", 2, &from, 1);

	if (r == 0)
		r = packet_receive(to, MSG_DONTWAIT, &packet);
	if (r == 0)
		fd_list_close(&packet.fds);
	if (r == 0)
		r = packet_send(from, MSG_DONTWAIT, "[]", 2, NULL, 0);
	if (r == 0)
		r = packet_receive_marked(to, room, &mark);
	return r;
}

static int pass_packets(void)
{
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r = pass(ends[0], ends[1]);
	close(ends[0]);
	close(ends[1]);
	return r;
}

static struct sockaddr_un listening = {.sun_family = AF_UNIX};

static int connect_socket(void)
{
	int fd, r = packet_connect(listening.sun_path, &fd);

	if (r == 0)
		close(fd);
	return r;
}

static char config_path[64];

static int read_config(void)
{
	static struct config config;
	static struct config_faults faults;

	config = config_defaults;
	if (!config_file_read(config_path, /* required= */ true, &config, &faults))
		return -EIO;
	config_clear(&config);
	return 0;
}

struct work {
	const char *name;
	int (*run)(void);
};

static const struct work all[] = {
	{"its own cgroup", find_own_cgroup},
	{"a process's cgroup", find_cgroup_of_process},
	{"another fd of a cgroup", duplicate_cgroup},
	{"a cgroup's room", read_room},
	{"kills in a cgroup", read_kills},
	{"entering a cgroup", enter_cgroup},
	{"a mapping, verified", map_and_verify},
	{"a permanent mapping", map_permanently},
	{"meminfo", read_meminfo},
	{"a node's meminfo", read_node},
	{"nodes", read_nodes},
	{"pressure", watch_pressure},
	{"a ledger", keep_ledger},
	{"JSON, parsed", parse},
	{"JSON, printable", print_printable},
	{"JSON, built", build},
	{"messages", make_messages},
	{"a message, read", read_message},
	{"parameters", decode},
	{"a schema", describe_fields},
	{"packets", pass_packets},
	{"a connection", connect_socket},
	{"a configuration", read_config},
};

#define WORKS (sizeof all / sizeof *all)

static int lacks[WORKS]; /* why this machine has nothing for it; 0: it has */

/* Failing */

struct choice {
	uint32_t kind, call, error; /* see failure.h; call 0: each that there can be too few of */
};

static bool fail(const struct work *work, const struct choice *choice, uint32_t nth)
{
	size_t fds = unit_open_fds();
	int64_t live = failure->live;
	bool failed;
	int r;

	failure->nth = failure->count = failure->failed = 0;
	failure->kind = choice->kind;
	failure->call = choice->call;
	failure->error = choice->error;
	__atomic_store_n(&failure->nth, nth, __ATOMIC_SEQ_CST);
	r = work->run();
	__atomic_store_n(&failure->nth, 0, __ATOMIC_SEQ_CST);
	failed = failure->failed;
	live = failure->live - live;
	UNIT_ASSERT_ROW(r == 0 || (r < 0 && failed), "%s, kind %u, call %u, %u: %d", work->name,
		choice->kind, choice->call, nth, r);
	UNIT_ASSERT_ROW(unit_open_fds() == fds && live <= LIBRARY_LEAKS,
		"%s, kind %u, call %u, %u: %lld allocations are left", work->name, choice->kind,
		choice->call, nth, (long long)live);
	return failed;
}

static void fail_each(const struct choice *choice)
{
	for (size_t i = 0; i < WORKS; i++) {
		uint32_t nth = 1;

		while (lacks[i] == 0 && fail(&all[i], choice, nth))
			nth++;
	}
}

static void test_allocations(void)
{
	fail_each(&(struct choice){.kind = FAILURE_ALLOCATION});
}

static void test_calls(void)
{
	fail_each(&(struct choice){.kind = FAILURE_CALL});
}

/* What else there is, and interruptions. */
static void test_chosen_calls(void)
{
	static const struct choice choices[] = {
		{FAILURE_CALL, SYS_epoll_wait + 1, EINTR},
		{FAILURE_CALL, SYS_faccessat2 + 1, EACCES},
		{FAILURE_CALL, SYS_fstatfs + 1, ENOMEM},
		{FAILURE_CALL, SYS_newfstatat + 1, ENOMEM},
		{FAILURE_CALL, __NR_mseal + 1, ENOMEM},
		{FAILURE_CALL, SYS_openat + 1, ENOENT},
		{FAILURE_CALL, SYS_read + 1, EINTR},
		{FAILURE_CALL, SYS_connect + 1, EINTR},
		{FAILURE_CALL, SYS_recvmsg + 1, EINTR},
		{FAILURE_CALL, SYS_recvmmsg + 1, EINTR},
		{FAILURE_CALL, SYS_sendmmsg + 1, EINTR},
	};

	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
		fail_each(&choices[i]);
}

/* One that has no PSI, say. */
static void test_all_there(void)
{
	static char reason[256];

	for (size_t i = 0; i < WORKS; i++) {
		size_t used = strlen(reason);

		if (lacks[i] != 0)
			snprintf(reason + used, sizeof reason - used, "%s%s: %s",
				used > 0 ? "; " : "", all[i].name, strerror(-lacks[i]));
	}
	if (reason[0])
		unit_skip(reason);
}

static int set_up(void)
{
	static char directory[] = "/tmp/gmemd-test-XXXXXX";
	FILE *file;
	int fd;

	if (!mkdtemp(directory))
		return -1;
	cgroup_own(&own);
	snprintf(config_path, sizeof config_path, "%s/conf", directory);
	snprintf(listening.sun_path, sizeof listening.sun_path, "%s/socket", directory);
	file = fopen(config_path, "we");
	if (!file || fputs("[limits]\nvms-per-user = 7\n", file) < 0 || fclose(file) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&listening, sizeof listening) < 0 || listen(fd, 4096) < 0)
		return -1;
	/* What is made once; the parser's, not at the first try. */
	failure->nth = 1;
	parse();
	failure->nth = 0;
	for (size_t i = 0; i < WORKS; i++)
		lacks[i] = all[i].run();
	return 0;
}

static int tear_down(void)
{
	unlink(config_path);
	unlink(listening.sun_path);
	*strrchr(config_path, '/') = '\0';
	return rmdir(config_path);
}

static void execute_failing(char **argv)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", memfd_create("failure", 0));
	if (truncate(path, 4096) < 0)
		return;
	setenv("FAILURE_FILE", path, 1);
	setenv("FAILURE_PROGRAM", program_invocation_short_name, 1);
	setenv("LD_PRELOAD", argv[2], 1);
	execl(argv[1], argv[1], argv[0], NULL);
}

int main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{"all of it", test_all_there},
		{"each allocation", test_allocations},
		{"each call that there can be too few of", test_calls},
		{"other calls, and interruptions", test_chosen_calls},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "amid_failures",
			.pInitFunc = set_up,
			.pCleanupFunc = tear_down,
			.pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	if (argc == 3)
		execute_failing(argv);
	failure = failure_map();
	if (!failure || failure->process != (uint32_t)getpid()) {
		perror("amid_failures");
		return EXIT_FAILURE;
	}
	unsetenv("LD_PRELOAD");
	return unit_main(suites);
}
