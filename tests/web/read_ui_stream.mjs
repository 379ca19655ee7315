// Sends a message as useChat does, with the SDK's own transport and reader, and prints the parts and the message that they make.
// Arguments: the SDK's folder, the address.
import { createRequire } from "node:module";

const [folder, address] = process.argv.slice(2);
const { DefaultChatTransport, readUIMessageStream } = createRequire(`${folder}/`)("ai");

const transport = new DefaultChatTransport({ api: address });
const messages = [{ id: "m1", role: "user", parts: [{ type: "text", text: "hi" }] }];
const [seen, errors] = [[], []];
let message;
try {
  const parts = await transport.sendMessages({ chatId: "c1", messages, trigger: "submit-message" });
  const noted = parts.pipeThrough(
    new TransformStream({
      transform(part, controller) {
        seen.push(part.type);
        controller.enqueue(part);
      },
    }),
  );
  const onError = (error) => errors.push(String(error.message ?? error));
  for await (message of readUIMessageStream({ stream: noted, onError })) {}
} catch (error) {
  errors.push(String(error.message ?? error));
}
console.log(JSON.stringify({ message, seen, errors }));
