# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Leaks: a connection that was started without a block stays open until its finish, which never comes.

require "net/http"

PORT, COUNT = ARGV.map(&:to_i)

# docs: begin
class Shop
  def initialize(number)
    @number = number
  end

  def price
    @http ||= Net::HTTP.start("127.0.0.1", PORT, read_timeout: 30)
    @http.get("/price/#{@number}/").body
  end
end
# docs: end

SHOPS = (1..COUNT).map { |number| Shop.new(number) }
SHOPS.each(&:price)
$stdout.puts "ready"
$stdout.flush
sleep
