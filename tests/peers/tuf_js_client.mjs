// Downloads targets with tuf-js, starting from nothing but a pinned root.
//
//     node tuf_js_client.mjs PEER_DIR ROOT METADATA_URL TARGETS_URL TARGET...
//
// PEER_DIR is the folder whose node_modules has tuf-js. Prints "<sha256> <length> <target>" for
// each. Exit code 1 and "refused: <error>: <text>" on standard error when something throws.

import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [peer, root, metadataBaseUrl, targetBaseUrl, ...names] = process.argv.slice(2);
const { Updater } = createRequire(path.join(peer, 'node_modules', 'x'))('tuf-js');

const folder = mkdtempSync(path.join(tmpdir(), 'tuf-js-'));
try {
  const [metadataDir, targetDir] = ['metadata', 'targets'].map((name) => path.join(folder, name));
  mkdirSync(metadataDir);
  mkdirSync(targetDir);
  copyFileSync(root, path.join(metadataDir, 'root.json'));
  // One try: a server of a test that does not answer never will.
  const config = { fetchRetries: 0 };
  const updater = new Updater({ metadataDir, metadataBaseUrl, targetDir, targetBaseUrl, config });
  await updater.refresh();
  for (const name of names) {
    const info = await updater.getTargetInfo(name);
    if (!info) throw new Error(`not listed: ${name}`);
    const content = readFileSync(await updater.downloadTarget(info));
    console.log(createHash('sha256').update(content).digest('hex'), content.length, name);
  }
} catch (error) {
  console.error(`refused: ${error.constructor.name}: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
