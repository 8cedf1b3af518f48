/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd knows of a domain by its XML, and what is wrong with it.
 */
#include "client/libvirt/domain_facts.h"

#include <stdio.h>
#include <string.h>

#include "protocol/methods.h"
#include "tests/lib/unit.h"

#define UUID         "123e4567-e89b-12d3-a456-426614174000"
#define BEGIN        "<domain type='kvm' id='7'><name>a &amp; b</name><uuid>" UUID "</uuid>"
#define MEMORY       "<memory unit='KiB'>1048576</memory>"
#define OWN(content) BEGIN MEMORY "<metadata>" content "</metadata></domain>"
#define GMEM(rest)   OWN("<gmem:memory xmlns:gmem='" METADATA_NAMESPACE "'" rest)

static bool read_facts(const char *xml, struct domain_facts *facts)
{
	char why[FACTS_TEXT_MAX] = "";
	int r = domain_facts_read(xml, facts, why);

	UNIT_ASSERT_ROW(r == 0, "%s: %s", xml, why);
	return r == 0;
}

static void test_whole(void)
{
	struct domain_facts facts;

	if (!read_facts(BEGIN "<title>A title</title><description>x</description>" MEMORY
			      "<maxMemory slots='2' unit='KiB'>2097152</maxMemory>"
			      "<currentMemory unit='KiB'>4</currentMemory>"
			      "<metadata><o:x xmlns:o='urn:other' tenant='no'><o:y/></o:x>"
			      "<g:memory xmlns:g='" METADATA_NAMESPACE
			      "' tenant='blue' limit='3G'/></metadata>"
			      "<devices><memory model='dimm'><target><size unit='KiB'>5</size>"
			      "</target></memory><name>no</name></devices></domain>",
		    &facts))
		return;
	CU_ASSERT_STRING_EQUAL(facts.name, "a & b");
	CU_ASSERT_STRING_EQUAL(facts.uuid, UUID);
	CU_ASSERT_STRING_EQUAL(facts.title, "A title");
	CU_ASSERT_EQUAL(facts.id, 7);
	CU_ASSERT_EQUAL(facts.maximum, UINT64_C(2) << 30);
	CU_ASSERT_STRING_EQUAL(facts.tenant, "blue");
	CU_ASSERT_EQUAL(facts.limit, UINT64_C(3) << 30);
	CU_ASSERT_EQUAL(domain_facts_commit_limit(&facts), UINT64_C(3) << 30);
	CU_ASSERT_STRING_EQUAL(facts.fault, "");
	CU_ASSERT_FALSE(facts.is_ours);
	domain_facts_clear(&facts);
}

static void check_emulator(const char *devices, bool is_ours)
{
	struct domain_facts facts;
	char xml[1024];

	snprintf(xml, sizeof xml, BEGIN MEMORY "<devices>%s</devices></domain>", devices);
	if (!read_facts(xml, &facts))
		return;
	UNIT_ASSERT_ROW(facts.is_ours == is_ours, "%s", devices);
	domain_facts_clear(&facts);
}

static void test_emulators(void)
{
	check_emulator("<emulator>/usr/local/bin/gmem-run-qemu</emulator>", true);
	check_emulator("<disk>x</disk><emulator>/opt/gmem-run-qemu-system-aarch64</emulator>"
		       "<disk><emulator>/usr/bin/qemu</emulator></disk>",
		true);
	check_emulator("<emulator>/usr/bin/qemu-system-x86_64</emulator>", false);
	check_emulator("<emulator>/gmem-run-qemu/qemu</emulator>", false);
	check_emulator("<emulator/>", false);
	check_emulator("<disk><emulator>/usr/bin/gmem-run-qemu</emulator></disk>", false);
}

static void test_least(void)
{
	struct domain_facts facts;

	if (!read_facts("<domain><name>a</name><uuid>" UUID
			"</uuid><memory unit='KiB'>1025</memory></domain>",
		    &facts))
		return;
	CU_ASSERT_EQUAL(facts.id, -1);
	CU_ASSERT_PTR_NULL(facts.title);
	CU_ASSERT_PTR_NULL(facts.tenant);
	CU_ASSERT_EQUAL(facts.limit, 0);
	/* As libvirt rounds it up. */
	CU_ASSERT_EQUAL(domain_facts_commit_limit(&facts), UINT64_C(2) << 20);
	domain_facts_clear(&facts);
}

static void check_fault(const char *xml, const char *fault)
{
	struct domain_facts facts;

	if (!read_facts(xml, &facts))
		return;
	UNIT_ASSERT_ROW(strstr(facts.fault, fault) != NULL, "%s: \"%s\"", xml, facts.fault);
	CU_ASSERT_PTR_NULL(facts.tenant);
	CU_ASSERT_EQUAL(facts.limit, 0);
	domain_facts_clear(&facts);
}

static void test_faults(void)
{
	char name[NAME_BYTES_MAX + 2], xml[2048];

	check_fault(GMEM(" tenant=''/>"), "its tenant is no name");
	check_fault(GMEM(" tenant='blue' limit='8Q'/>"), "its limit is no size");
	check_fault(GMEM(" tenant='blue' limit='-1'/>"), "its limit is no size");
	check_fault(GMEM(" limit='0'/>"), "its limit is no size");
	check_fault(GMEM(" limit=''/>"), "its limit is no size");
	check_fault(GMEM(" limit='99999999999999999999'/>"), "its limit is no size");
	check_fault(GMEM(" tennant='blue'/>"), "it has no \"tennant\"");
	check_fault(GMEM(" tenant='blue'><limit/></gmem:memory>"), "it has elements in it");
	check_fault(GMEM(" tenant='blue'>8G</gmem:memory>"), "it has text in it");
	check_fault(OWN("<gmem:tenant xmlns:gmem='" METADATA_NAMESPACE "'/>"),
		"<gmem:tenant> is no element");
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	snprintf(xml, sizeof xml, GMEM(" tenant='%s'/>"), name);
	check_fault(xml, "its tenant is no name");
}

static void check_wrong(const char *xml, const char *expected)
{
	char why[FACTS_TEXT_MAX] = "";
	struct domain_facts facts;
	int r = domain_facts_read(xml, &facts, why);

	UNIT_ASSERT_ROW(r < 0 && strstr(why, expected), "%s: %d, \"%s\"", xml, r, why);
	if (r == 0)
		domain_facts_clear(&facts);
}

static void test_wrong(void)
{
	check_wrong("", "line 1");
	check_wrong("nonsense", "line 1");
	check_wrong("<domain>", "line 1");
	check_wrong("<network/>", "no <domain>");
	check_wrong("<domain/>", "it lacks");
	check_wrong(BEGIN "</domain>", "it lacks");
	check_wrong(BEGIN MEMORY, "line 1");
	check_wrong(BEGIN "<memory unit='GiB'>1</memory></domain>", "not in KiB");
	check_wrong(BEGIN "<memory>1</memory></domain>", "not in KiB");
	check_wrong(BEGIN "<memory unit='KiB'>-1</memory></domain>", "its memory");
	check_wrong(BEGIN "<memory unit='KiB'></memory></domain>", "its memory");
	check_wrong(
		BEGIN "<memory unit='KiB'>18446744073709551615</memory></domain>", "its memory");
	check_wrong("<domain id='7x'><name>a</name></domain>", "its id");
	check_wrong("<domain><name>a</name><uuid>short</uuid>" MEMORY "</domain>", "it lacks");
	check_wrong("<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><domain>&c;</domain>",
		"line 1");
}

/* Whatever is nested, named or as long as it likes. */
static void test_deep(void)
{
	static char xml[65536];
	struct domain_facts facts;
	size_t used;

	strcpy(xml, BEGIN MEMORY "<title>");
	used = strlen(xml);
	memset(xml + used, 't', 20000);
	strcpy(xml + used + 20000, "</title><devices>");
	used = strlen(xml);
	for (unsigned i = 0; i < 2000; i++)
		used += (size_t)sprintf(xml + used, "<memory>");
	for (unsigned i = 0; i < 2000; i++)
		used += (size_t)sprintf(xml + used, "</memory>");
	strcpy(xml + used, "</devices></domain>");
	if (!read_facts(xml, &facts))
		return;
	CU_ASSERT_EQUAL(strlen(facts.title), 4095);
	CU_ASSERT_EQUAL(facts.maximum, UINT64_C(1) << 30);
	domain_facts_clear(&facts);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a domain with all that there is", test_whole},
		{"a domain with the least", test_least},
		{"whose memory is gmemd's, by its emulator", test_emulators},
		{"metadata that is wrong counts for nothing, and says why", test_faults},
		{"what is no domain says why", test_wrong},
		{"a domain that is deep and long", test_deep},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "a domain's XML", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
