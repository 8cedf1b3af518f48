/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Configuration: good and bad files and options, and which overrides which.
 */
#include "daemon/config/command_line.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config/config_file.h"
#include "daemon/config/config_lines.h"
#include "daemon/config/config_setting.h"
#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define OPTIONS_MAX 5

static char directory[] = "/tmp/gmemd-config-XXXXXX";
static char path[64], beside[80], file_option[96];
static struct config_faults faults; /* of what was read last */
static struct config last;          /* which is cleared before the next */

static int set_up(void)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof path, "%s/gmemd.conf", directory);
	snprintf(beside, sizeof beside, "%s.d", path);
	snprintf(file_option, sizeof file_option, "--config=%s", path);
	return 0;
}

static int tear_down(void)
{
	config_clear(&last);
	rmdir(beside);
	unlink(path);
	return rmdir(directory);
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

/* What it says about it goes nowhere. */
static enum config_outcome read_quietly(int argc, char **argv, struct config *ret)
{
	cleanup_fd int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	cleanup_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	enum config_outcome outcome;

	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	config_clear(&last);
	outcome = config_read(argc, argv, ret, &faults);
	if (outcome == CONFIG_RUN)
		last = *ret;
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	return outcome;
}

/* With the file, and up to OPTIONS_MAX more, the last one NULL. */
static enum config_outcome read_with(const char *const *options, struct config *ret)
{
	char *argv[OPTIONS_MAX + 3] = {(char *)"gmemd", file_option};
	int argc = 2;

	while (*options)
		argv[argc++] = (char *)*options++;
	return read_quietly(argc, argv, ret);
}

#define READ(ret, ...) read_with((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, ret)

static void test_defaults(void)
{
	struct config config;

	write_file("");
	CU_ASSERT_EQUAL_FATAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_STRING_EQUAL(config.runtime_directory, DEFAULT_RUNTIME_DIRECTORY);
	CU_ASSERT_EQUAL(config.gate_policy, GATE_POLICY_REQUIRED);
	CU_ASSERT_EQUAL(config.backend, BACKEND_AUTO);
	CU_ASSERT_EQUAL(config.operator_socket_mode, 0600);
	CU_ASSERT_EQUAL(config.commit_limit, 0);
	CU_ASSERT_EQUAL(config_bytes(&config.host_reserve, 1000), 100);
	CU_ASSERT_EQUAL(config.overcommit, 0);
	CU_ASSERT_EQUAL(config_bytes(&config.pressure_floor, 1000), 50);
	CU_ASSERT_EQUAL(config.pressure_deadline, 5000);
	CU_ASSERT_TRUE(config.peers_per_user > 0 && config.vms_per_user > 0);
	CU_ASSERT_TRUE(config.memories_per_vm > 0 && config.slots_per_vm > 0);
	CU_ASSERT_EQUAL(config.takers_per_owner, 4);
	CU_ASSERT_EQUAL(config.takers_per_user, 64);
	CU_ASSERT_TRUE(config.takers_on_host > config.takers_per_user);
}

static void test_file(void)
{
	struct config config;

	write_file("; a comment\n# another\n[gate]\npolicy = preferred\n\n[sockets]\n"
		   "vmm-mode=0660\nadmin-mode = 600\n[limits]\npeers-per-user = 3\n"
		   "vms-per-user = 4\nmemories-per-user = 5\nmemories-per-vm = 6\n"
		   "slots-per-vm = 7\nown-memory-per-vm = 8\n"
		   "preallocations-per-vm = 9\npreallocations-per-user = 10\n"
		   "preallocations-on-host = 11\n"
		   "takers-per-owner = 12\ntakers-per-user = 13\ntakers-on-host = 14\n"
		   "commit-limit = 18446744073709551615\nhost-reserve = 1073741824\n"
		   "overcommit = 25\n[pressure]\nfloor = 7%\ndeadline = 250\n");
	CU_ASSERT_EQUAL_FATAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_EQUAL(config.gate_policy, GATE_POLICY_PREFERRED);
	CU_ASSERT_EQUAL(config.vmm_socket_mode, 0660);
	CU_ASSERT_EQUAL(config.operator_socket_mode, 0600);
	CU_ASSERT_EQUAL(config.peers_per_user, 3);
	CU_ASSERT_EQUAL(config.vms_per_user, 4);
	CU_ASSERT_EQUAL(config.memories_per_user, 5);
	CU_ASSERT_EQUAL(config.memories_per_vm, 6);
	CU_ASSERT_EQUAL(config.slots_per_vm, 7);
	CU_ASSERT_EQUAL(config.own_memory_per_vm, 8);
	CU_ASSERT_EQUAL(config.preallocations_per_vm, 9);
	CU_ASSERT_EQUAL(config.preallocations_per_user, 10);
	CU_ASSERT_EQUAL(config.preallocations_on_host, 11);
	CU_ASSERT_EQUAL(config.takers_per_owner, 12);
	CU_ASSERT_EQUAL(config.takers_per_user, 13);
	CU_ASSERT_EQUAL(config.takers_on_host, 14);
	CU_ASSERT_EQUAL(config.commit_limit, UINT64_MAX);
	CU_ASSERT_EQUAL(config_bytes(&config.host_reserve, 1), 1073741824);
	CU_ASSERT_EQUAL(config.overcommit, 25);
	CU_ASSERT_EQUAL(config_bytes(&config.pressure_floor, 1000), 70);
	CU_ASSERT_EQUAL(config.pressure_deadline, 250);
}

static void test_keeper(void)
{
	struct config config;

	write_file("[keeper]\nuse = no\n\t");
	CU_ASSERT_EQUAL_FATAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_TRUE(faults.count == 0 && !config.keeper);
	write_file("[keeper]\nuse = yes\n");
	CU_ASSERT_EQUAL_FATAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_TRUE(faults.count == 0 && config.keeper);
}

static void check_fault(unsigned index, unsigned line, const char *setting, const char *text)
{
	const struct config_fault *fault = &faults.all[index];

	CU_ASSERT_FATAL(index < faults.count);
	UNIT_ASSERT_ROW(fault->line == line, "line %u: %s", fault->line, fault->text);
	CU_ASSERT_STRING_EQUAL(fault->setting, setting);
	UNIT_ASSERT_ROW(strstr(fault->text, text), "no \"%s\" in \"%s\"", text, fault->text);
}

static void write_more(const char *name, const char *text)
{
	char file_path[128];
	FILE *file;

	snprintf(file_path, sizeof file_path, "%s/%s", beside, name);
	file = fopen(file_path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

static void remove_more(const char *name)
{
	char file_path[128];

	snprintf(file_path, sizeof file_path, "%s/%s", beside, name);
	unlink(file_path);
}

static void check_origin(const char *section, const char *name, const char *file, unsigned line)
{
	const struct config_setting *setting = config_setting_find(section, name);
	const struct config_origin *origin;

	CU_ASSERT_PTR_NOT_NULL_FATAL(setting);
	origin = config_setting_origin(&last, setting);
	CU_ASSERT_EQUAL_FATAL(origin->source, CONFIG_FROM_FILE);
	CU_ASSERT_EQUAL(origin->line, line);
	CU_ASSERT_PTR_NOT_NULL(strstr(last.paths.all[origin->file], file));
}

/* In the order of their names, after the first; what is no configuration is not read. */
static void test_more_files(void)
{
	struct config config;

	CU_ASSERT_EQUAL_FATAL(mkdir(beside, 0700), 0);
	write_file("[limits]\nslots-per-vm = 1\nmemories-per-vm = 2\npeers-per-user = 3\n");
	write_more("20-b.conf", "[limits]\nslots-per-vm = 20\n");
	write_more("10-a.conf", "# first\n[limits]\nslots-per-vm = 10\nmemories-per-vm = 11\n");
	write_more("30.conf~", "nonsense");
	write_more(".40.conf", "nonsense");
	CU_ASSERT_EQUAL_FATAL(READ(&config, "--gate=preferred"), CONFIG_RUN);
	CU_ASSERT_EQUAL(faults.count, 0);
	CU_ASSERT_EQUAL(config.paths.count, 3);
	CU_ASSERT_EQUAL(config.slots_per_vm, 20);
	CU_ASSERT_EQUAL(config.memories_per_vm, 11);
	CU_ASSERT_EQUAL(config.peers_per_user, 3);
	check_origin("limits", "slots-per-vm", "/20-b.conf", 2);
	check_origin("limits", "memories-per-vm", "/10-a.conf", 4);
	check_origin("limits", "peers-per-user", "/gmemd.conf", 4);
	CU_ASSERT_EQUAL(
		config_setting_origin(&config, config_setting_find("gate", "policy"))->source,
		CONFIG_FROM_COMMAND_LINE);
	CU_ASSERT_EQUAL(
		config_setting_origin(&config, config_setting_find("keeper", "use"))->source,
		CONFIG_FROM_DEFAULT);
	write_more("15.conf", "[limits]\n\nslots-per-vm = many\n");
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_EQUAL_FATAL(faults.count, 1);
	check_fault(0, 3, "slots-per-vm", "must be a number");
	CU_ASSERT_PTR_NOT_NULL(strstr(faults.all[0].file, "/15.conf"));
	CU_ASSERT_EQUAL(config.slots_per_vm, 4096);
	remove_more("10-a.conf");
	remove_more("15.conf");
	remove_more("20-b.conf");
	remove_more("30.conf~");
	remove_more(".40.conf");
	CU_ASSERT_EQUAL(rmdir(beside), 0);
}

/* What is printed is read as the same. */
static void test_printed(void)
{
	char value[CONFIG_VALUE_SIZE];

	for (unsigned i = 0; i < config_settings_count; i++) {
		const struct config_setting *setting = &config_settings[i];
		struct config config = config_defaults;

		config_setting_print(setting, &config_defaults, value);
		UNIT_ASSERT_ROW(config_setting_parse(setting, value, &config) &&
					config_setting_equal(setting, &config, &config_defaults),
			"%s = %s", setting->name, value);
		UNIT_ASSERT_ROW(!config_setting_parse(setting, "x", &config), "%s", setting->name);
	}
}

/* A pipe that nobody writes to is not waited for. */
static void test_pipe(void)
{
	struct config config;

	unlink(path);
	CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_EQUAL(faults.count, 0);
	unlink(path);
}

/* Where none need be there. */
static void test_absent(void)
{
	struct config config = config_defaults;

	CU_ASSERT_TRUE(config_file_read("/nonexistent", /* required= */ false, &config, &faults));
	CU_ASSERT_EQUAL(faults.count, 0);
	CU_ASSERT_FALSE(config_file_read("/nonexistent", /* required= */ true, &config, &faults));
	CU_ASSERT_EQUAL(faults.count, 1);
}

static void test_amounts(void)
{
	static const struct {
		const char *text;
		uint64_t total, bytes;
	} rows[] = {{"0", 1000, 0}, {"0%", 1000, 0}, {"100%", UINT64_MAX, UINT64_MAX},
		{"18446744073709551615", 5, UINT64_MAX}, {"5%", 0, 0}, {"5%", 199, 9},
		{"50%", UINT64_MAX, UINT64_MAX / 2}, {"7", 5, 7}, {"4K", 5, 4096},
		{"3M", 5, 3 << 20}, {"2G", 5, 2ull << 30}, {"16777215T", 5, 16777215ull << 40}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config config;
		char text[64];

		snprintf(text, sizeof text, "[pressure]\nfloor = %s\n", rows[i].text);
		write_file(text);
		CU_ASSERT_EQUAL_FATAL(READ(&config), CONFIG_RUN);
		UNIT_ASSERT_ROW(
			config_bytes(&config.pressure_floor, rows[i].total) == rows[i].bytes,
			"%s of %llu", rows[i].text, (unsigned long long)rows[i].total);
	}
}

/* A wrong file is no half configuration: it is as if there were none. */
static void check_faulty(const char *text)
{
	struct config config = {.peers_per_user = 77};

	write_file(text);
	UNIT_ASSERT_ROW(READ(&config) == CONFIG_RUN && faults.count > 0, "%s", text);
	UNIT_ASSERT_ROW(config.peers_per_user == 2048, "%s was half read", text);
}

static void test_bad_files(void)
{
	static const char *const files[] = {"[gate]\npolicy = maybe\n", "[gate]\npolicy =\n", "x",
		"[gate]\npolicy = maybe\n  ", "[keeper]\nuse = perhaps\n",
		"[gate]\nPolicy = required\n", "[gate]\nbogus = 1\n",
		"[bogus]\npolicy = required\n", "policy = required\n",
		"[limits]\npeers-per-user = -1\n", "[limits]\npeers-per-user = x\n",
		"[limits]\npeers-per-user = 1x\n", "[limits]\npeers-per-user = 0x10\n",
		"[limits]\npeers-per-user = 1.5\n", "[limits]\npeers-per-user =\n",
		"[limits]\npeers-per-user = +1\n",
		"[limits]\ncommit-limit = 18446744073709551616\n", "[limits]\ncommit-limit = 1 2\n",
		"[sockets]\nvmm-mode = 0888\n", "[sockets]\nvmm-mode = 1777\n",
		"[sockets]\nadmin-mode = rw\n", "[gate\n", "nonsense\n",
		"[limits]\npeers-per-user = 1\nbogus\n", "[limits]\nhost-reserve = 101%\n",
		"[limits]\nhost-reserve = %\n", "[limits]\nhost-reserve =\n",
		"[limits]\nhost-reserve = 5 %\n", "[limits]\nhost-reserve = 5%%\n",
		"[limits]\nhost-reserve = -1\n", "[limits]\nhost-reserve = 2GB\n",
		"[limits]\ncommit-limit = 1.5G\n", "[limits]\ncommit-limit = 16777216T\n",
		"[limits]\npeers-per-user = 2K\n", "[limits]\nhost-reserve = 5K%\n",
		"[limits]\novercommit = 10%\n", "[limits]\novercommit = 1001\n",
		"[pressure]\nfloor = 1.5%\n", "[pressure]\nfloor = 18446744073709551616\n",
		"[pressure]\ndeadline = 0\n", "[pressure]\ndeadline = 3600001\n",
		"[limits]\nfloor = 1\n"};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		check_faulty(files[i]);
}

/* All of them, in the order of the lines, whatever they are. */
static void test_faults(void)
{
	char told[CONFIG_FAULT_TEXT_MAX], expected[128];
	struct config config;

	write_file("# a comment\n[limits]\n  slots-per-vm = many\nnonsense\nslots = 7\n\n"
		   "[limit]\nslots-per-vm = 9\n[gate]\r\npolicy = maybe ; or not\r\n");
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_EQUAL_FATAL(faults.count, 5);
	check_fault(0, 3, "slots-per-vm", "must be a number");
	check_fault(1, 4, "", "must be [SECTION], NAME = VALUE, or a comment");
	check_fault(2, 5, "slots", "no such setting in section [limits], which has peers-per-user");
	check_fault(3, 8, "slots-per-vm", "no section [limit]; there are gate, keeper, sockets");
	check_fault(4, 10, "policy", "must be required or preferred");
	config_faults_print(&faults, 0, told, sizeof told);
	snprintf(expected, sizeof expected, "%s:3: slots-per-vm: must be a number", path);
	CU_ASSERT_STRING_EQUAL(told, expected);
}

static void test_many_faults(void)
{
	struct config config;
	char text[4096] = "[limits]\n";

	for (unsigned i = 0; i < 2 * CONFIG_FAULTS_MAX; i++)
		strcat(text, "slots-per-vm = x\n");
	write_file(text);
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_EQUAL(faults.count, CONFIG_FAULTS_MAX);
	check_fault(CONFIG_FAULTS_MAX - 1, CONFIG_FAULTS_MAX + 1, "slots-per-vm", "a number");
}

/* Of that many bytes, "x" where nothing else is said. */
static void write_line(FILE *file, const char *begin, size_t length, const char *end)
{
	size_t rest = length - strlen(begin) - strlen(end);

	fputs(begin, file);
	for (size_t i = 0; i < rest; i++)
		fputc('x', file);
	fprintf(file, "%s\n", end);
}

static void write_line_between(const char *begin, size_t length, const char *end)
{
	FILE *file = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs("[limits]\n", file);
	write_line(file, begin, length, end);
	fputs("memories-per-vm = 3\n", file);
	fclose(file);
}

/* However long one is, and whatever stands at its end. */
static void test_long_comments(void)
{
	static const char *const begins[] = {"#", ";", "  # ", "\t;"};
	struct config config;

	for (size_t length = 150; length < 450; length++) {
		for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
			write_line_between(begins[i], length, "slots-per-vm = 7");
			UNIT_ASSERT_ROW(READ(&config) == CONFIG_RUN && faults.count == 0 &&
						config.slots_per_vm == 4096 &&
						config.memories_per_vm == 3,
				"\"%s\", %zu bytes", begins[i], length);
		}
	}
}

static void test_long_lines(void)
{
	struct config config;

	for (size_t length = 150; length < 450; length++) {
		write_line_between("slots-per-vm = 9 ; ", length, "");
		CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
		if (length > CONFIG_LINE_MAX) {
			CU_ASSERT_EQUAL_FATAL(faults.count, 1);
			check_fault(0, 2, "", "at most 198 bytes");
		} else {
			UNIT_ASSERT_ROW(
				faults.count == 0 && config.slots_per_vm == 9, "%zu", length);
		}
	}
}

/* A line that begins with a blank is one by itself, and a file need not end with the end of a
 * line. */
static void test_spelling(void)
{
	struct config config;

	write_file("\xef\xbb\xbf[limits]\n slots-per-vm = 5\n\tmemories-per-vm: 6\r\n  [gate]  \n"
		   "policy = preferred ; for now");
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	CU_ASSERT_EQUAL(faults.count, 0);
	CU_ASSERT_EQUAL(config.slots_per_vm, 5);
	CU_ASSERT_EQUAL(config.memories_per_vm, 6);
	CU_ASSERT_EQUAL(config.gate_policy, GATE_POLICY_PREFERRED);
}

static void test_no_text(void)
{
	static const char text[] = "[limits]\nslots-per-vm = 1\0 7\n";
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct config config;

	CU_ASSERT_EQUAL_FATAL(write(fd, text, sizeof text - 1), sizeof text - 1);
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	check_fault(0, 2, "", "NUL");
}

static void test_no_file(void)
{
	struct config config;

	unlink(path);
	CU_ASSERT_EQUAL(READ(&config), CONFIG_RUN);
	check_fault(0, 0, "", "No such file");
	CU_ASSERT_EQUAL(READ(&config, "--config=/"), CONFIG_RUN);
	check_fault(0, 0, "", "Is a directory");
	CU_ASSERT_EQUAL(READ(&config, "--config=/dev/zero"), CONFIG_RUN);
	check_fault(0, 0, "", "File too large");
	CU_ASSERT_STRING_EQUAL(faults.all[0].file, "/dev/zero");
}

static void test_check(void)
{
	struct config config = {.peers_per_user = 77};

	write_file("[limits]\nslots-per-vm = 5\n");
	CU_ASSERT_EQUAL(READ(&config, "--check-config"), CONFIG_EXIT);
	write_file("[limits]\nslots-per-vm = many\n");
	CU_ASSERT_EQUAL(READ(&config, "--check-config"), CONFIG_FAULTY);
	CU_ASSERT_EQUAL(READ(&config, "--check-config", "--gate=maybe"), CONFIG_WRONG);
	CU_ASSERT_EQUAL(config.peers_per_user, 77);
}

static void test_options(void)
{
	struct config config;

	write_file("[gate]\npolicy = preferred\n");
	CU_ASSERT_EQUAL(READ(&config, "--gate=required"), CONFIG_RUN);
	CU_ASSERT_EQUAL(config.gate_policy, GATE_POLICY_REQUIRED);
	write_file("[gate]\npolicy = required\n");
	CU_ASSERT_EQUAL(READ(&config, "--gate", "preferred", "--backend=kvm"), CONFIG_RUN);
	CU_ASSERT_EQUAL(config.gate_policy, GATE_POLICY_PREFERRED);
	CU_ASSERT_EQUAL(config.backend, BACKEND_KVM);
	CU_ASSERT_EQUAL(READ(&config, "--runtime-directory=/x/y"), CONFIG_RUN);
	CU_ASSERT_STRING_EQUAL(config.runtime_directory, "/x/y");
}

static void test_bad_options(void)
{
	static const char *const options[] = {"--bogus", "--gate=maybe", "--gate=", "--backend=xen",
		"--runtime-directory=relative", "--runtime-directory=", "-x", "argument", "--gate",
		"--", "--config"};
	struct config config;

	write_file("");
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		const char *more = strcmp(options[i], "--") == 0 ? "argument" : NULL;

		UNIT_ASSERT_ROW(READ(&config, options[i], more) == CONFIG_WRONG, "%s", options[i]);
	}
}

static void test_long_directory(void)
{
	char option[256] = "--runtime-directory=/";
	struct config config;
	size_t start = strlen(option);
	size_t longest = RUNTIME_DIRECTORY_MAX - 1;

	write_file("");
	memset(option + start, 'x', longest);
	CU_ASSERT_EQUAL(READ(&config, option), CONFIG_RUN);
	CU_ASSERT_EQUAL(strlen(config.runtime_directory), longest + 1);
	option[start + longest] = 'x';
	CU_ASSERT_EQUAL(READ(&config, option), CONFIG_WRONG);
}

static void test_answered(void)
{
	struct config config;

	CU_ASSERT_EQUAL(READ(&config, "--help"), CONFIG_EXIT);
	CU_ASSERT_EQUAL(READ(&config, "--version"), CONFIG_EXIT);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"defaults", test_defaults},
		{"a file", test_file},
		{"with and without a keeper", test_keeper},
		{"one that is absent", test_absent},
		{"those beside it", test_more_files},
		{"settings as they are printed", test_printed},
		{"a pipe", test_pipe},
		{"bytes or percent", test_amounts},
		{"bad files", test_bad_files},
		{"what is wrong, and where", test_faults},
		{"more than is told of", test_many_faults},
		{"long comments", test_long_comments},
		{"long lines", test_long_lines},
		{"blanks and ends", test_spelling},
		{"no text", test_no_text},
		{"--check-config", test_check},
		{"no file", test_no_file},
		{"options override the file", test_options},
		{"bad options", test_bad_options},
		{"the longest directory", test_long_directory},
		{"--help and --version", test_answered},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "configuration",
					 .pInitFunc = set_up,
					 .pCleanupFunc = tear_down,
					 .pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
