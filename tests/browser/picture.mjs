// The picture in the README: the page after two minutes of a wave of events.

import { join } from 'node:path';
import { HIGH_SENSOR_VALUE, generate, launch, openPage, startDaemon, waitFor } from './harness.mjs';

const CONFIG = `
[[window]]
name = "realtime"
kind = "tumbling"
size = "10s"
[[window]]
name = "minute"
kind = "tumbling"
size = "1m"
[[window]]
name = "by-source"
kind = "tumbling"
size = "10s"
group_by = ["source"]
${HIGH_SENSOR_VALUE}
[[alert]]
name = "busy-host"
window = "minute"
field = "cpu_percent"
statistic = "max"
above = 90.0
level = "info"
message = "A host at {value:.0} % CPU"
`;

const daemon = await startDaemon(CONFIG);
const browser = await launch();
// As high as the cards and the charts; the tables below them are left out.
const { page } = await openPage(browser, daemon.url, { viewport: { width: 1280, height: 1036 } });
const run = generate(daemon, '--rate', '5000', '--pattern', 'wave');
await waitFor('two minutes of windows', async () => (await daemon.get('/api/aggregates/realtime?limit=20')).length >= 13, 300_000);
await page.screenshot({ path: join(process.env.SCREENSHOTS, 'picture.png') });
await run.end();
await browser.close();
await daemon.end();
