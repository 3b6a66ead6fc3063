// undici -> hash Transform -> @aws-sdk/lib-storage Upload: one pass, SHA-256 of every byte.
// Arguments: URL ENDPOINT BUCKET KEY. Prints the hex digest.
import { createHash } from "node:crypto";
import { Transform } from "node:stream";
import { S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { Agent, request } from "undici";

const [url, endpoint, Bucket, Key] = process.argv.slice(2);
const s3 = new S3Client({ endpoint, forcePathStyle: true, region: "us-east-1" });
const agent = new Agent({ connections: 10, keepAliveTimeout: 30_000 });
const hash = createHash("sha256");
const hasher = new Transform({
  transform(chunk, _encoding, done) {
    hash.update(chunk);
    done(null, chunk);
  },
});

const { statusCode, body } = await request(url, { dispatcher: agent });
if (statusCode !== 200) throw new Error(`status ${statusCode}`);
body.on("error", (error) => hasher.destroy(error));
await new Upload({ client: s3, params: { Bucket, Key, Body: body.pipe(hasher) } }).done();
console.log(hash.digest("hex"));
await agent.close();
s3.destroy();
