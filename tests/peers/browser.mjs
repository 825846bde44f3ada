// Drives Debian's chromium for a test: one JSON object per line in, one per line out. Ends with its
// standard input.
//
//     node browser.mjs PEER_DIR
//
// PEER_DIR is the folder whose node_modules has playwright-core and axe-core. A line names what to
// `do` and its arguments; the answer is {"ok": value} or {"error": text}. Every wait is for a
// condition and ends after WAIT_MS.
//
//     open        {width, height, scheme, script, headers}  a fresh profile with one empty page
//     cookie      {url, value}              "name=value" for that host
//     goto        {url}                     → {status, url}
//     click       {at}                      waits for the page that it leads to
//     press       {key}
//     fill        {at, value}
//     choose      {at, value}               an option of a select by its value
//     submit      {at}                      clicks; → {status, url} of the document it leads to
//     enter       {at}                      the same with the keyboard
//     download    {at}                      clicks; → the text of what comes
//     text        {at}, texts {at}, value {at}, attributes {at, name}, count {at}
//     wait        {at, holds?}              until it is there, and contains the text
//     gone        {at}                      until it is not there
//     tabs        {most}                    presses Tab so often: → what has the keyboard then and
//                                           nobody sees it; the skip link must be the first
//     unfold      {}                        opens every <details>
//     url         {}, title {}, html {}
//     axe         {}                        → serious and critical findings, each a sentence
//     wide        {}                        → elements that make the page scroll sideways
//     complaints  {}                        → what the browser complained about since it was last asked
//     weight      {}                        → {bytes, document, server_ms, requests} of the last goto
//     screenshot  {file, whole, clip}       a PNG; `whole`: down to the page's end

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

// Longest wait for one condition: CI machines have two busy cores.
const WAIT_MS = 30_000;
// Bytes of a complaint that are worth reading.
const COMPLAINT_MAX = 500;
// Elements that are named where one is too wide.
const WIDE_MAX = 8;

const [peer] = process.argv.slice(2);
const require = createRequire(path.join(peer, 'node_modules', 'x'));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// Chromium has no sandbox for root, which is who runs the tests in most containers.
const args = ['--disable-dev-shm-usage', '--force-color-profile=srgb'];
if (process.getuid() === 0) args.push('--no-sandbox');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args });

let context;
let page;
let complaints = [];
// Requests of the last document, in their order; and those that were made until it was loaded.
let requests = [];
let loaded = [];

function complain(text) {
  complaints.push(text.slice(0, COMPLAINT_MAX));
}

const isDocument = (request) => request.isNavigationRequest() && request.frame() === page.mainFrame();

function watch() {
  // Chromium's own words for CSP violations, missing files and errors of scripts come this way.
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      complain(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  page.on('pageerror', (error) => complain(`script: ${error.stack ?? error}`));
  page.on('request', (request) => {
    if (isDocument(request) && !request.redirectedFrom()) requests = [];
    requests.push(request);
  });
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? '';
    // The page was left while something was under way: a stream of events always is.
    if (why !== 'net::ERR_ABORTED') complain(`failed: ${request.url()}: ${why}`);
  });
}

// What the one or the first element at `at` is; waits until it is there.
const first = (at) => page.locator(at).first();

// The answer to a click that leads to another document.
async function leading(act) {
  const wanted = (response) => isDocument(response.request()) && ![301, 302, 303].includes(response.status());
  const [response] = await Promise.all([page.waitForResponse(wanted), act()]);
  await page.waitForLoadState('load');
  return { status: response.status(), url: page.url() };
}

async function download(at) {
  const wanted = (response) => isDocument(response.request());
  const file = page.waitForEvent('download');
  const document = page.waitForResponse(wanted);
  // The one that does not come is nobody's failure.
  file.catch(() => {});
  document.catch(() => {});
  await first(at).click();
  const came = await Promise.race([file, document.then((response) => response.text().then(
    (text) => text,
    // A download has no body to ask for.
    () => file,
  ))]);
  return typeof came === 'string' ? came : readFileSync(await came.path(), 'utf8');
}

async function weight() {
  let bytes = 0;
  let server_ms = 0;
  let document = 0;
  const counted = loaded.filter((request) => request.resourceType() !== 'eventsource');
  for (const request of counted) {
    const { responseBodySize, responseHeadersSize } = await request.sizes();
    bytes += responseBodySize + responseHeadersSize;
    if (!isDocument(request)) continue;
    const { requestStart, responseStart } = request.timing();
    server_ms = responseStart - requestStart;
    document = responseBodySize + responseHeadersSize;
  }
  return { bytes, document, server_ms, requests: counted.map((request) => request.url()) };
}

async function axe() {
  // Evaluated from outside of the page, so that its own policy stays as it is.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, impact, help, nodes }) => {
      const where = nodes.slice(0, 5).map((node) => `${node.target.join(' ')} [${node.failureSummary?.split('\n')[1]?.trim() ?? ''}]`);
      return `${impact} ${id}: ${help}: ${nodes.length} × ${where.join(' | ')}`;
    });
}

function wide(most) {
  const { scrollWidth, clientWidth } = globalThis.document.documentElement;
  if (scrollWidth <= clientWidth) return [];
  const name = (e) => `${e.tagName.toLowerCase()}${e.id && `#${e.id}`}${[...e.classList].map((c) => `.${c}`).join('')}`;
  // An element inside a box that scrolls by itself is nobody's fault.
  const boxed = (e) => {
    for (let up = e.parentElement; up && up !== globalThis.document.documentElement; up = up.parentElement) {
      if (getComputedStyle(up).overflowX !== 'visible') return true;
    }
    return false;
  };
  const over = [...globalThis.document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > clientWidth + 0.5 && !boxed(e));
  const found = over.slice(0, most).map((e) => `${name(e)} to ${Math.ceil(e.getBoundingClientRect().right)}`);
  return [`the page is ${scrollWidth} wide in ${clientWidth}`, ...found];
}

// Whether what has the keyboard shows it: by an outline, a shadow, or by the shape in a picture.
const focused = () => page.evaluate(() => {
  const e = globalThis.document.activeElement;
  const name = (e.ariaLabel ?? e.textContent ?? '').trim().replace(/\s+/g, ' ').slice(0, 60);
  const what = `${e.tagName.toLowerCase()} ${name}`;
  if (e === globalThis.document.body) return { what, seen: true, body: true };
  const look = () => [e, ...e.querySelectorAll('circle, path, rect, text')].map((part) => {
    const { outline, boxShadow, stroke, strokeWidth, fontWeight } = getComputedStyle(part);
    return [outline, boxShadow, stroke, strokeWidth, fontWeight].join();
  }).join();
  const box = e.getBoundingClientRect();
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(e);
  const outlined = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) > 0;
  // The parts of a date are the browser's own, and so is how it shows them.
  let seen = outlined || boxShadow !== 'none' || e.type === 'date';
  if (!seen && e instanceof SVGElement) {
    const withIt = look();
    e.blur();
    seen = look() !== withIt;
    e.focus();
  }
  return { what, seen: seen && (box.width > 0 || box.height > 0), body: false };
});

async function tabs({ most }) {
  const faults = [];
  for (let n = 1; n <= most; n += 1) {
    await page.keyboard.press('Tab');
    const { what, seen, body } = await focused();
    if (body) break;
    if (n === 1 && !/skip/i.test(what)) faults.push(`the first stop is not the skip link: ${what}`);
    if (!seen) faults.push(`stop ${n} is not seen: ${what}`);
  }
  return faults;
}

const verbs = {
  async open({ width, height, scheme, script, headers }) {
    await context?.close();
    context = await browser.newContext({
      viewport: { width, height },
      colorScheme: scheme,
      javaScriptEnabled: script,
      extraHTTPHeaders: headers ?? {},
      acceptDownloads: true,
      reducedMotion: 'reduce',
      locale: 'en-GB',
      timezoneId: 'UTC',
    });
    context.setDefaultTimeout(WAIT_MS);
    [page, complaints, requests] = [await context.newPage(), [], []];
    watch();
    return null;
  },
  async cookie({ url, value }) {
    const [name, ...rest] = value.split('=');
    await context.addCookies([{ name, value: rest.join('='), url }]);
    return null;
  },
  async goto({ url }) {
    const response = await page.goto(url, { waitUntil: 'load' });
    loaded = [...requests];
    return { status: response.status(), url: page.url() };
  },
  click: async ({ at }) => first(at).click().then(() => null),
  press: async ({ key }) => page.keyboard.press(key).then(() => null),
  fill: async ({ at, value }) => first(at).fill(value).then(() => null),
  choose: async ({ at, value }) => first(at).selectOption(value).then(() => null),
  submit: async ({ at }) => leading(() => first(at).click()),
  enter: async ({ at }) => leading(() => first(at).press('Enter')),
  download: async ({ at }) => download(at),
  text: async ({ at }) => first(at).innerText(),
  texts: async ({ at }) => page.locator(at).allInnerTexts(),
  value: async ({ at }) => first(at).inputValue(),
  attributes: async ({ at, name }) => page.locator(at).evaluateAll((all, n) => all.map((e) => e.getAttribute(n)), name),
  count: async ({ at }) => page.locator(at).count(),
  wait: async ({ at, holds }) => page.locator(at).filter(holds ? { hasText: holds } : {}).first().waitFor().then(() => null),
  gone: async ({ at }) => first(at).waitFor({ state: 'detached' }).then(() => null),
  tabs,
  unfold: async () => page.evaluate(() => {
    for (const e of globalThis.document.querySelectorAll('details')) e.open = true;
  }),
  url: async () => page.url(),
  title: async () => page.title(),
  html: async () => page.content(),
  axe,
  wide: async () => page.evaluate(wide, WIDE_MAX),
  complaints: async () => complaints.splice(0),
  weight,
  async screenshot({ file, whole, clip }) {
    await page.screenshot({ path: file, fullPage: whole ?? false, clip, animations: 'disabled' });
    return null;
  },
};

async function answer(line) {
  try {
    const order = JSON.parse(line);
    const verb = verbs[order.do];
    if (!verb) return { error: `no such verb: ${order.do}` };
    return { ok: (await verb(order)) ?? null };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
}
await browser.close();
