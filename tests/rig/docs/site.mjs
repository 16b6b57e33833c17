// SPDX-License-Identifier: MIT
// Looks at the built site in a browser: pages load without errors, the search finds functions, both
// colour schemes are legible, and nothing is wider than a phone.
//
// usage: node site.mjs HTML_DIR CHROMIUM SCREENSHOT_DIR
import { chromium } from 'playwright-core';
import { mkdirSync, readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

const [html, executablePath, shots] = process.argv.slice(2);
const url = (page) => pathToFileURL(resolve(html, page)).href;
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const pages = readdirSync(html).filter((name) => name.endsWith('.html') &&
    !/^(dir_|graph_legend)|_source\.html$/.test(name));
let count = 0;
let failed = 0;

async function check(name, body) {
    let problem = '';
    try {
        problem = (await body()) || '';
    } catch (error) {
        problem = String(error);
    }
    count += 1;
    failed += problem ? 1 : 0;
    console.log(`${problem ? 'not ok' : 'ok'} ${count} - ${name}`);
    for (const line of problem.split('\n').filter(Boolean)) {
        console.log(`# ${line}`);
    }
}

// The contrast of two colours as WCAG 2 defines it.
function contrast(a, b) {
    const luminance = (colour) => {
        const [r, g, b_] = colour.match(/[\d.]+/g).map(Number).slice(0, 3).map((value) => {
            const c = value / 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b_;
    };
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
}

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath, args });

async function opened(page, options) {
    const context = await browser.newContext(options);
    const tab = await context.newPage();
    const errors = [];
    tab.on('pageerror', (error) => errors.push(String(error)));
    tab.on('requestfailed', (request) => errors.push(`cannot load ${request.url()}`));
    await tab.goto(url(page));
    return { context, tab, errors };
}

for (const page of pages) {
    await check(`${page} loads, and nothing of it is missing`, async () => {
        const { context, errors } = await opened(page);
        await context.close();
        return errors.join('\n');
    });
}

for (const name of ['nb_send_all', 'nb_listener_stop', 'nb_serve_options']) {
    await check(`the search finds ${name}`, async () => {
        const { context, tab } = await opened('index.html', { viewport: { width: 1280, height: 900 } });
        await tab.click('#MSearchField');
        await tab.keyboard.type(name, { delay: 20 });
        const results = tab.frameLocator('#MSearchResults');
        const first = results.locator(`.SRSymbol:text-is("${name}")`).first();
        await first.waitFor({ state: 'visible', timeout: 20000 });
        const target = await first.getAttribute('href');
        await context.close();
        return target ? '' : 'the result leads nowhere';
    });
}

for (const colorScheme of ['light', 'dark']) {
    for (const page of ['index.html', 'tutorial.html', 'concurrency.html', 'group__conn.html']) {
        await check(`${page} is legible in ${colorScheme}`, async () => {
            const { context, tab } = await opened(page, { colorScheme,
                viewport: { width: 1280, height: 1000 } });
            const [text, back] = await tab.evaluate(() => {
                const style = getComputedStyle(document.querySelector('div.contents'));
                return [style.color, getComputedStyle(document.body).backgroundColor];
            });
            await tab.screenshot({ path: `${shots}/${page.replace('.html', '')}-${colorScheme}.png` });
            await context.close();
            return contrast(text, back) >= 7 ? '' : `${text} on ${back}`;
        });
    }
}

for (const page of pages.filter((name) => !/_8h\.html$/.test(name))) {
    await check(`${page} fits a phone`, async () => {
        const { context, tab } = await opened(page, { viewport: { width: 390, height: 844 } });
        const width = await tab.evaluate(() => document.documentElement.scrollWidth);
        await tab.screenshot({ path: `${shots}/${page.replace('.html', '')}-phone.png` });
        await context.close();
        return width <= 390 ? '' : `${width} pixels wide`;
    });
}

await browser.close();
console.log(`1..${count}`);
console.log(`# ${pages.length} pages looked at`);
process.exit(failed ? 1 : 0);
