// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the stream of an answer that is not 200 is neither read nor closed.

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

public class Export {
    private final HttpClient client = HttpClient.newHttpClient();

    // docs: begin
    long copy(HttpRequest request) throws IOException, InterruptedException {
        HttpResponse<InputStream> response = client.send(request, BodyHandlers.ofInputStream());
        if (response.statusCode() != 200) {
            throw new IOException(request.uri() + ": " + response.statusCode());
        }
        try (InputStream body = response.body()) {
            return body.transferTo(System.out);
        }
    }
    // docs: end

    public static void main(String[] arguments) throws InterruptedException {
        Export export = new Export();
        for (int number = 0; number < Integer.parseInt(arguments[1]); number++) {
            URI uri = URI.create("http://127.0.0.1:" + arguments[0] + "/export/" + number + "/404");
            try {
                export.copy(HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(30)).build());
            } catch (IOException error) {
                System.out.println(error.getMessage());
            }
        }
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
