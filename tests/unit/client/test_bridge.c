/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-libvirt beside libvirt's test driver: what it has read of which domain, and when.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/libvirt/domain_facts.h"
#include "protocol/json.h"
#include "tests/lib/test_domains.h"
#include "tests/lib/unit.h"

#define MANY 100

static struct test_domains test;

/* Of the state file: what a member of a domain is, printed; NULL: it lacks the domain. */
struct expected {
	const char *name, *member, *value;
};

static const char *print_member(const struct json_object *domain, const char *member)
{
	struct json_object *value = json_get(domain, member);

	return !value                  ? "null"
	       : json_is_string(value) ? json_string(value)
				       : json_print(value, NULL);
}

static bool has_member(const struct json_object *domains, const struct expected *expected)
{
	for (size_t i = 0; i < json_length(domains); i++) {
		const struct json_object *domain = json_at(domains, i);

		if (strcmp(json_get_string(domain, "name"), expected->name) == 0)
			return expected->member &&
			       strstr(print_member(domain, expected->member), expected->value);
	}
	return !expected->member;
}

static bool state_has(struct test_domains *of, void *context)
{
	const char *text = test_domains_state(of), *why;
	struct json_object *state = json_parse(text, strlen(text), &why);
	bool has = state && has_member(json_get(state, "domains"), context);

	json_unref(state);
	return has;
}

/* value NULL: it isn't there. */
static void comes(const char *name, const char *member, const char *value)
{
	struct expected expected = {name, member, value};

	UNIT_ASSERT_ROW(test_domains_wait(&test, state_has, &expected), "%s: %s %s: %s", name,
		member ? member : "is there", value ? value : "", test_domains_state(&test));
}

static void test_life(void)
{
	virDomainPtr domain = test_domains_define(&test, "plain", 1);

	comes("plain", "active", "false");
	comes("plain", "limit", "67108864");
	comes("plain", "uuid", "123e4567-e89b-12d3-a456-426600000001");
	CU_ASSERT_EQUAL(virDomainCreate(domain), 0);
	comes("plain", "active", "true");
	CU_ASSERT_EQUAL(virDomainDestroy(domain), 0);
	comes("plain", "active", "false");
	CU_ASSERT_EQUAL(virDomainRename(domain, "other", 0), 0);
	comes("other", "active", "false");
	comes("plain", NULL, NULL);
	CU_ASSERT_EQUAL(virDomainUndefine(domain), 0);
	comes("other", NULL, NULL);
	virDomainFree(domain);
}

static void set_metadata(virDomainPtr domain, const char *element)
{
	CU_ASSERT_EQUAL(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, element, "gmem",
				METADATA_NAMESPACE, VIR_DOMAIN_AFFECT_CURRENT),
		0);
}

static void test_metadata(void)
{
	virDomainPtr domain = test_domains_define(&test, "plain", 1);

	comes("plain", "tenant", "null");
	set_metadata(domain, "<memory tenant='blue' limit='1G'/>");
	comes("plain", "tenant", "blue");
	comes("plain", "limit", "1073741824");
	set_metadata(domain, "<memory tenant='blue' limit='much'/>");
	comes("plain", "fault", "its limit is no size");
	comes("plain", "tenant", "null");
	set_metadata(domain, "<memory/>");
	comes("plain", "fault", "null");
	virDomainUndefine(domain);
	comes("plain", NULL, NULL);
	virDomainFree(domain);
}

static bool has_many(struct test_domains *of, void *context)
{
	const char *text = test_domains_state(of), *why;
	struct json_object *state = json_parse(text, strlen(text), &why);
	bool has = json_length(json_get(state, "domains")) == *(size_t *)context;

	json_unref(state);
	return has;
}

static void test_many(void)
{
	size_t count = MANY;
	virDomainPtr domains[MANY];
	char name[32];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "domain-%u", i);
		domains[i] = test_domains_define(&test, name, i);
		CU_ASSERT_EQUAL(virDomainCreate(domains[i]), 0);
	}
	CU_ASSERT(test_domains_wait(&test, has_many, &count));
	comes("domain-99", "active", "true");
	/* And once more, by one that connects when they are there. */
	test.bridge = bridge_free(test.bridge);
	CU_ASSERT_EQUAL(access(test.state, F_OK), -1);
	CU_ASSERT_EQUAL(bridge_new(test.base, &test.plan, &test.bridge), 0);
	CU_ASSERT(test_domains_wait(&test, has_many, &count));
	for (unsigned i = 0; i < MANY; i++) {
		virDomainDestroy(domains[i]);
		virDomainUndefine(domains[i]);
		virDomainFree(domains[i]);
	}
	count = 0;
	CU_ASSERT(test_domains_wait(&test, has_many, &count));
}

static int begin(void)
{
	return test_domains_begin(&test) ? 0 : -1;
}

static int end(void)
{
	test_domains_end(&test);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a domain is defined, started, ended, renamed and undefined", test_life},
		{"metadata is read when it changes, and what is wrong with it told", test_metadata},
		{"many domains, read as they come and all at once", test_many},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "the bridge", .pInitFunc = begin, .pCleanupFunc = end, .pTests = tests},
		CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
